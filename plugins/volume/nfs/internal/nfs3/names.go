package nfs3

import (
	"context"
	"syscall"

	"github.com/pintle-io/pintle/plugins/volume/nfs/internal/oncrpc"
)

// Procedure numbers, RFC 1813 section 3.
const (
	procGetAttr = 1
	procSetAttr = 2
	procLookup  = 3
	procAccess  = 4
	procReadlnk = 5
	procRead    = 6
	procWrite   = 7
	procCreate  = 8
	procMkdir   = 9
	procSymlink = 10
	procMknod   = 11
	procRemove  = 12
	procRmdir   = 13
	procRename  = 14
	procLink    = 15
	procReaddir = 16
	procReadPls = 17
	procFSStat  = 18
	procCommit  = 21
)

// Cred is whom a call is made for.
type Cred = oncrpc.Credential

// Entry is a file that was looked up or made.
type Entry struct {
	Handle     Handle
	Attributes *Attributes
}

func handleArg(h Handle) func(*oncrpc.Encoder) {
	return func(e *oncrpc.Encoder) { e.Opaque([]byte(h)) }
}

func nameArg(dir Handle, name string) func(*oncrpc.Encoder) {
	return func(e *oncrpc.Encoder) {
		e.Opaque([]byte(dir))
		e.String(name)
	}
}

// Lookup finds a name in a directory.
func (c *Client) Lookup(ctx context.Context, cred *Cred, dir Handle, name string) (Entry, error) {
	r, err := c.call(ctx, cred, procLookup, 0, nameArg(dir, name))
	if err != nil {
		return Entry{}, err
	}
	entry := Entry{decodeHandle(r.Decoder), decodeOptional(r.Decoder)}
	if err := r.Err(); err != nil {
		return Entry{}, err
	}
	return c.complete(ctx, cred, entry)
}

// complete asks for attributes that the server left out.
func (c *Client) complete(ctx context.Context, cred *Cred, entry Entry) (Entry, error) {
	if entry.Attributes != nil {
		return entry, nil
	}
	var err error
	entry.Attributes, err = c.GetAttr(ctx, cred, entry.Handle)
	return entry, err
}

// made reads the results of a procedure that makes a file. What a first sending
// of the same call made is found by its name.
func (c *Client) made(ctx context.Context, cred *Cred, r result, err error, dir Handle, name string) (Entry, error) {
	if r.repeated && isStatus(err, StatusExist) {
		return c.Lookup(ctx, cred, dir, name)
	}
	if err != nil {
		return Entry{}, err
	}
	entry := Entry{decodeOptionalHandle(r.Decoder), decodeOptional(r.Decoder)}
	if err := r.Err(); err != nil {
		return Entry{}, err
	}
	if entry.Handle == "" {
		return c.Lookup(ctx, cred, dir, name)
	}
	return c.complete(ctx, cred, entry)
}

// Create makes a file, or opens the one that is there.
func (c *Client) Create(ctx context.Context, cred *Cred, dir Handle, name string, mode uint32) (Entry, error) {
	r, err := c.call(ctx, cred, procCreate, 0, func(e *oncrpc.Encoder) {
		nameArg(dir, name)(e)
		e.Uint32(0) // UNCHECKED
		(&Changes{Mode: &mode}).encode(e)
	})
	return c.made(ctx, cred, r, err, dir, name)
}

// CreateExclusive makes a file that must not be there. verifier is unique for
// the file, so that a repeated call is told from another's file.
func (c *Client) CreateExclusive(ctx context.Context, cred *Cred, dir Handle, name string, mode uint32, verifier [8]byte) (Entry, error) {
	r, err := c.call(ctx, cred, procCreate, 0, func(e *oncrpc.Encoder) {
		nameArg(dir, name)(e)
		e.Uint32(2) // EXCLUSIVE
		e.Fixed(verifier[:])
	})
	r.repeated = false // The server recognizes the verifier by itself.
	entry, err := c.made(ctx, cred, r, err, dir, name)
	if err != nil {
		return Entry{}, err
	}
	// Servers keep the verifier in the times, RFC 1813 section 3.3.8.
	entry.Attributes, err = c.SetAttr(ctx, cred, entry.Handle, &Changes{Mode: &mode, Atime: &Touch{}, Mtime: &Touch{}})
	return entry, err
}

func (c *Client) Mkdir(ctx context.Context, cred *Cred, dir Handle, name string, mode uint32) (Entry, error) {
	r, err := c.call(ctx, cred, procMkdir, 0, func(e *oncrpc.Encoder) {
		nameArg(dir, name)(e)
		(&Changes{Mode: &mode}).encode(e)
	})
	return c.made(ctx, cred, r, err, dir, name)
}

func (c *Client) Symlink(ctx context.Context, cred *Cred, dir Handle, name, target string) (Entry, error) {
	mode := uint32(0o777)
	r, err := c.call(ctx, cred, procSymlink, len(target), func(e *oncrpc.Encoder) {
		nameArg(dir, name)(e)
		(&Changes{Mode: &mode}).encode(e)
		e.String(target)
	})
	return c.made(ctx, cred, r, err, dir, name)
}

// Mknod makes a device, socket or named pipe; mode says which, as in mknod(2).
func (c *Client) Mknod(ctx context.Context, cred *Cred, dir Handle, name string, mode, major, minor uint32) (Entry, error) {
	bits := mode & permissionBits
	kind := uint32(0)
	for t, m := range fileTypes {
		if m != 0 && m == mode&syscall.S_IFMT {
			kind = uint32(t)
		}
	}
	r, err := c.call(ctx, cred, procMknod, 0, func(e *oncrpc.Encoder) {
		nameArg(dir, name)(e)
		e.Uint32(kind)
		(&Changes{Mode: &bits}).encode(e)
		if m := mode & syscall.S_IFMT; m == syscall.S_IFBLK || m == syscall.S_IFCHR {
			e.Uint32(major)
			e.Uint32(minor)
		}
	})
	return c.made(ctx, cred, r, err, dir, name)
}

// Remove removes a name that is no directory.
func (c *Client) Remove(ctx context.Context, cred *Cred, dir Handle, name string) error {
	return c.remove(ctx, cred, procRemove, dir, name)
}

// Rmdir removes an empty directory.
func (c *Client) Rmdir(ctx context.Context, cred *Cred, dir Handle, name string) error {
	return c.remove(ctx, cred, procRmdir, dir, name)
}

func (c *Client) remove(ctx context.Context, cred *Cred, procedure uint32, dir Handle, name string) error {
	r, err := c.call(ctx, cred, procedure, 0, nameArg(dir, name))
	if r.repeated && isStatus(err, StatusNoEnt) {
		return nil
	}
	return err
}

func (c *Client) Rename(ctx context.Context, cred *Cred, fromDir Handle, from string, toDir Handle, to string) error {
	r, err := c.call(ctx, cred, procRename, 0, func(e *oncrpc.Encoder) {
		nameArg(fromDir, from)(e)
		nameArg(toDir, to)(e)
	})
	if r.repeated && isStatus(err, StatusNoEnt) {
		_, err = c.Lookup(ctx, cred, toDir, to)
	}
	return err
}

// Link gives a file another name.
func (c *Client) Link(ctx context.Context, cred *Cred, file, dir Handle, name string) (*Attributes, error) {
	r, err := c.call(ctx, cred, procLink, 0, func(e *oncrpc.Encoder) {
		e.Opaque([]byte(file))
		nameArg(dir, name)(e)
	})
	if r.repeated && isStatus(err, StatusExist) {
		found, lookupErr := c.Lookup(ctx, cred, dir, name)
		if lookupErr == nil && found.Handle == file {
			return found.Attributes, nil
		}
	}
	if err != nil {
		return nil, err
	}
	attributes := decodeOptional(r.Decoder)
	if err := r.Err(); err != nil {
		return nil, err
	}
	entry, err := c.complete(ctx, cred, Entry{file, attributes})
	return entry.Attributes, err
}
