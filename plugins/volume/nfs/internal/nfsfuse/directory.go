package nfsfuse

import (
	"errors"
	"strings"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/pintle-io/pintle/plugins/volume/nfs/internal/nfs3"
)

// final reports whether the server answered, so that a repetition is of no use.
func final(err error) bool {
	var s nfs3.Status
	return errors.As(err, &s)
}

// listing is where the reading of a directory stands. The kernel's offsets are
// the server's cookies.
type listing struct {
	mu       sync.Mutex
	next     uint64 // offset at which rest goes on
	rest     []nfs3.DirEntry
	end      bool // rest is the last
	verifier uint64
}

func (f *FileSystem) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n, err := f.nodes.get(in.NodeId)
	if err != nil {
		return status(err)
	}
	cred := f.credentials.of(&in.Caller)
	ctx, end := f.request(cancel, &in.InHeader)
	defer end()
	granted, err := f.nfs.Access(ctx, cred, n.handle, nfs3.AccessRead)
	if err != nil {
		return status(err)
	}
	if granted&nfs3.AccessRead == 0 {
		return fuse.EACCES
	}
	out.Fh = f.handles.add(&handle{node: n, cred: cred, dir: &listing{}})
	return fuse.OK
}

func (f *FileSystem) ReleaseDir(in *fuse.ReleaseIn) { f.handles.remove(in.Fh) }

func (f *FileSystem) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return f.list(cancel, in, func(e *nfs3.DirEntry) bool { return out.AddDirEntry(direntOf(e)) })
}

// ReadDirPlus gives the kernel the files, too, as a lookup of each would.
func (f *FileSystem) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return f.list(cancel, in, func(e *nfs3.DirEntry) bool {
		entry := out.AddDirLookupEntry(direntOf(e))
		if entry == nil {
			return false
		}
		known := e.Handle != "" && e.Attributes != nil
		if known && e.Name != "." && e.Name != ".." {
			f.enter(nfs3.Entry{Handle: e.Handle, Attributes: e.Attributes}, entry)
		}
		return true
	})
}

func direntOf(e *nfs3.DirEntry) fuse.DirEntry {
	d := fuse.DirEntry{Name: e.Name, Ino: e.FileID, Off: e.Cookie}
	if e.Attributes != nil {
		d.Mode = e.Attributes.Mode
	}
	return d
}

// list adds entries from an offset on until the kernel's buffer is full.
func (f *FileSystem) list(cancel <-chan struct{}, in *fuse.ReadIn, add func(*nfs3.DirEntry) bool) fuse.Status {
	h := f.handles.get(in.Fh)
	if h == nil || h.dir == nil {
		return fuse.EBADF
	}
	ctx, end := f.request(cancel, &in.InHeader)
	defer end()
	l := h.dir
	l.mu.Lock()
	defer l.mu.Unlock()
	if in.Offset == 0 || in.Offset != l.next {
		l.rest, l.end, l.next = nil, false, in.Offset
		if in.Offset == 0 {
			l.verifier = 0
		}
	}
	for added := false; ; {
		for len(l.rest) > 0 {
			e := &l.rest[0]
			if usable(e.Name) {
				if !add(e) {
					return fuse.OK
				}
				added = true
			}
			l.next, l.rest = e.Cookie, l.rest[1:]
		}
		if l.end || added {
			return fuse.OK
		}
		part, err := f.nfs.ReadDir(ctx, h.cred, h.node.handle, l.next, l.verifier)
		if err != nil {
			return status(err)
		}
		l.rest, l.end, l.verifier = part.Entries, part.End || len(part.Entries) == 0, part.Verifier
	}
}

// usable leaves out names that no server may send and the kernel would refuse
// with the whole listing.
func usable(name string) bool { return name != "" && !strings.ContainsAny(name, "/\x00") }
