package nfsfuse

import (
	"context"
	"log/slog"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/pintle-io/pintle/plugins/volume/nfs/internal/nfs3"
)

// handle is an open file or directory.
type handle struct {
	node *node
	cred *nfs3.Cred // of the process that opened it
	dir  *listing   // of a directory
}

// handles are those that the kernel has open.
type handles struct {
	mu    sync.Mutex
	last  uint64
	open  map[uint64]*handle
	count int // of files
}

func (s *handles) add(h *handle) uint64 {
	if h.dir == nil {
		h.node.mu.Lock()
		h.node.opened++
		h.node.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.open[s.last] = h
	if h.dir == nil {
		s.count++
	}
	return s.last
}

// get is nil for a number that was not given out.
func (s *handles) get(id uint64) *handle {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[id]
}

func (s *handles) remove(id uint64) *handle {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.open[id]
	delete(s.open, id)
	if h != nil && h.dir == nil {
		s.count--
	}
	return h
}

// files reports whether any file is open.
func (s *handles) files() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count > 0
}

func (f *FileSystem) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	dir, err := f.nodes.get(in.NodeId)
	if err != nil {
		return status(err)
	}
	ctx, end := f.request(cancel, &in.InHeader)
	defer end()
	cred := f.credentials.of(&in.Caller)
	mode := in.Mode & permissionBits
	var e nfs3.Entry
	if in.Flags&syscall.O_EXCL != 0 {
		e, err = f.nfs.CreateExclusive(ctx, cred, dir.handle, name, mode, newVerifier())
	} else {
		e, err = f.nfs.Create(ctx, cred, dir.handle, name, mode)
	}
	if err != nil {
		return status(err)
	}
	n := f.enter(e, &out.EntryOut)
	out.Fh = f.handles.add(&handle{node: n, cred: cred})
	return fuse.OK
}

// Open asks the server whether the process may, and makes the kernel forget
// what it knows of the file: that is the "open" of close-to-open.
func (f *FileSystem) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n, err := f.nodes.get(in.NodeId)
	if err != nil {
		return status(err)
	}
	cred := f.credentials.of(&in.Caller)
	const read = nfs3.AccessRead | nfs3.AccessExecute // Who may execute may read.
	const write = nfs3.AccessModify | nfs3.AccessExtend
	ctx, end := f.request(cancel, &in.InHeader)
	defer end()
	granted, err := f.nfs.Access(ctx, cred, n.handle, read|write)
	if err != nil {
		return status(err)
	}
	accessMode := in.Flags & syscall.O_ACCMODE
	if accessMode != syscall.O_WRONLY && granted&read == 0 {
		return fuse.EACCES
	}
	if (accessMode != syscall.O_RDONLY || in.Flags&syscall.O_TRUNC != 0) && granted&write == 0 {
		return fuse.EACCES
	}
	f.forget(n.id)
	out.Fh = f.handles.add(&handle{node: n, cred: cred})
	return fuse.OK
}

// Flush is called at every close(2), whose caller learns what went wrong.
func (f *FileSystem) Flush(cancel <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	h := f.handles.get(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	ctx, end := f.request(cancel, &in.InHeader)
	defer end()
	ctx, stop := context.WithTimeout(ctx, closeTimeout)
	defer stop()
	return status(f.commit(ctx, h.node))
}

func (f *FileSystem) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	h := f.handles.get(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	ctx, end := f.request(cancel, &in.InHeader)
	defer end()
	return status(f.commit(ctx, h.node))
}

// FsyncDir has nothing to do: changes of directories are stable, RFC 1813
// section 4.8.
func (f *FileSystem) FsyncDir(<-chan struct{}, *fuse.FsyncIn) fuse.Status { return fuse.OK }

// Release comes after the last close; nobody waits for it.
func (f *FileSystem) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	h := f.handles.remove(in.Fh)
	if h == nil {
		return
	}
	if err := f.commit(f.life, h.node); err != nil {
		slog.Error("writes to a file were lost at its close", "inode", h.node.id, "error", err)
	}
	if err := f.closed(f.life, h.node); err != nil {
		slog.Warn("a removed file keeps its hidden name", "inode", h.node.id, "error", err)
	}
}
