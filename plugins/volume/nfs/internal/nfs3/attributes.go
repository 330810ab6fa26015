package nfs3

import (
	"syscall"
	"time"

	"github.com/pintle-io/pintle/plugins/volume/nfs/internal/oncrpc"
)

// Handle names a file on the server; comparable, 1 to 64 bytes.
type Handle string

const maxHandle = 64

// Attributes is fattr3.
type Attributes struct {
	Mode                uint32 // with the type, as in stat(2)
	Links, UID, GID     uint32
	Size, Used          uint64
	Major, Minor        uint32
	FileID              uint64
	Atime, Mtime, Ctime Time
}

// Time is nfstime3: seconds and nanoseconds since 1970.
type Time struct{ Seconds, Nanoseconds uint32 }

// TimeOf converts t; what does not fit is cut to what does.
func TimeOf(t time.Time) Time {
	return Time{uint32(min(max(t.Unix(), 0), 1<<32-1)), uint32(t.Nanosecond())}
}

// IsDir reports whether it is a directory.
func (a *Attributes) IsDir() bool { return a.Mode&syscall.S_IFMT == syscall.S_IFDIR }

// fileTypes are the values of ftype3, from 1.
var fileTypes = [...]uint32{
	1: syscall.S_IFREG, 2: syscall.S_IFDIR, 3: syscall.S_IFBLK, 4: syscall.S_IFCHR,
	5: syscall.S_IFLNK, 6: syscall.S_IFSOCK, 7: syscall.S_IFIFO,
}

const permissionBits = 0o7777

func decodeAttributes(d *oncrpc.Decoder) *Attributes {
	kind := d.Uint32()
	if d.Err() == nil && (kind == 0 || int(kind) >= len(fileTypes)) {
		d.Fail("file of type %d", kind)
	}
	if d.Err() != nil {
		return nil
	}
	a := &Attributes{Mode: fileTypes[kind] | d.Uint32()&permissionBits}
	a.Links, a.UID, a.GID = d.Uint32(), d.Uint32(), d.Uint32()
	a.Size, a.Used = d.Uint64(), d.Uint64()
	a.Major, a.Minor = d.Uint32(), d.Uint32()
	d.Uint64() // fsid
	a.FileID = d.Uint64()
	a.Atime, a.Mtime, a.Ctime = decodeTime(d), decodeTime(d), decodeTime(d)
	if d.Err() != nil {
		return nil
	}
	return a
}

func decodeTime(d *oncrpc.Decoder) Time {
	t := Time{d.Uint32(), d.Uint32()}
	if t.Nanoseconds >= 1e9 {
		t.Nanoseconds = 0 // Some servers send nonsense for times that they don't keep.
	}
	return t
}

// decodeOptional reads post_op_attr; nil where the server sent none.
func decodeOptional(d *oncrpc.Decoder) *Attributes {
	if !d.Bool() {
		return nil
	}
	return decodeAttributes(d)
}

// decodeWeak reads wcc_data and returns the attributes after the operation, or
// nil.
func decodeWeak(d *oncrpc.Decoder) *Attributes {
	if d.Bool() {
		d.Uint64() // size before
		decodeTime(d)
		decodeTime(d)
	}
	return decodeOptional(d)
}

func decodeHandle(d *oncrpc.Decoder) Handle {
	h := Handle(d.Opaque(maxHandle))
	if h == "" {
		d.Fail("an empty file handle")
	}
	return h
}

func decodeOptionalHandle(d *oncrpc.Decoder) Handle {
	if !d.Bool() {
		return ""
	}
	return decodeHandle(d)
}

// Changes is sattr3: what is nil stays as it is.
type Changes struct {
	Mode, UID, GID *uint32
	Size           *uint64
	Atime, Mtime   *Touch
}

// Touch sets a time: the server's now where At is zero.
type Touch struct{ At Time }

func (c *Changes) encode(e *oncrpc.Encoder) {
	for _, v := range []*uint32{c.Mode, c.UID, c.GID} {
		e.Bool(v != nil)
		if v != nil {
			e.Uint32(*v)
		}
	}
	e.Bool(c.Size != nil)
	if c.Size != nil {
		e.Uint64(*c.Size)
	}
	for _, t := range []*Touch{c.Atime, c.Mtime} {
		switch {
		case t == nil:
			e.Uint32(0)
		case t.At == Time{}:
			e.Uint32(1)
		default:
			e.Uint32(2)
			e.Uint32(t.At.Seconds)
			e.Uint32(t.At.Nanoseconds)
		}
	}
}
