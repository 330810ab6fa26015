package nfsfuse

import (
	"crypto/rand"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/plugins/volume/nfs/internal/nfs3"
)

const permissionBits = 0o7777

func (f *FileSystem) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	dir, err := f.nodes.get(in.NodeId)
	if err != nil {
		return status(err)
	}
	ctx, end := f.request(cancel, &in.InHeader)
	defer end()
	cred := f.credentials.of(&in.Caller)
	var e nfs3.Entry
	if kind := in.Mode & syscall.S_IFMT; kind == syscall.S_IFREG || kind == 0 {
		e, err = f.nfs.CreateExclusive(ctx, cred, dir.handle, name, in.Mode&permissionBits, newVerifier())
	} else {
		major, minor := unix.Major(uint64(in.Rdev)), unix.Minor(uint64(in.Rdev))
		e, err = f.nfs.Mknod(ctx, cred, dir.handle, name, in.Mode, major, minor)
	}
	if err != nil {
		return status(err)
	}
	f.enter(e, out)
	return fuse.OK
}

func newVerifier() (v [8]byte) {
	_, _ = rand.Read(v[:]) // never fails
	return v
}

func (f *FileSystem) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	dir, err := f.nodes.get(in.NodeId)
	if err != nil {
		return status(err)
	}
	ctx, end := f.request(cancel, &in.InHeader)
	defer end()
	e, err := f.nfs.Mkdir(ctx, f.credentials.of(&in.Caller), dir.handle, name, in.Mode&permissionBits)
	if err != nil {
		return status(err)
	}
	f.enter(e, out)
	return fuse.OK
}

func (f *FileSystem) Symlink(cancel <-chan struct{}, in *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	dir, err := f.nodes.get(in.NodeId)
	if err != nil {
		return status(err)
	}
	ctx, end := f.request(cancel, in)
	defer end()
	e, err := f.nfs.Symlink(ctx, f.credentials.of(&in.Caller), dir.handle, name, target)
	if err != nil {
		return status(err)
	}
	f.enter(e, out)
	return fuse.OK
}

func (f *FileSystem) Readlink(cancel <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	n, err := f.nodes.get(in.NodeId)
	if err != nil {
		return nil, status(err)
	}
	ctx, end := f.request(cancel, in)
	defer end()
	target, err := f.nfs.Readlink(ctx, f.credentials.of(&in.Caller), n.handle)
	return target, status(err)
}

func (f *FileSystem) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	dir, err := f.nodes.get(in.NodeId)
	if err != nil {
		return status(err)
	}
	n, err := f.nodes.get(in.Oldnodeid)
	if err != nil {
		return status(err)
	}
	ctx, end := f.request(cancel, &in.InHeader)
	defer end()
	a, err := f.nfs.Link(ctx, f.credentials.of(&in.Caller), n.handle, dir.handle, name)
	if err != nil {
		return status(err)
	}
	f.enter(nfs3.Entry{Handle: n.handle, Attributes: a}, out)
	return fuse.OK
}

func (f *FileSystem) Unlink(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	dir, err := f.nodes.get(in.NodeId)
	if err != nil {
		return status(err)
	}
	ctx, end := f.request(cancel, in)
	defer end()
	cred := f.credentials.of(&in.Caller)
	hidden, err := f.hide(ctx, cred, dir, name)
	if err != nil || hidden {
		return status(err)
	}
	return status(f.nfs.Remove(ctx, cred, dir.handle, name))
}

func (f *FileSystem) Rmdir(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	dir, err := f.nodes.get(in.NodeId)
	if err != nil {
		return status(err)
	}
	ctx, end := f.request(cancel, in)
	defer end()
	return status(f.nfs.Rmdir(ctx, f.credentials.of(&in.Caller), dir.handle, name))
}

// Rename knows none of the flags of renameat2(2): the protocol does not.
func (f *FileSystem) Rename(cancel <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	if in.Flags != 0 {
		return fuse.EINVAL
	}
	fromDir, err := f.nodes.get(in.NodeId)
	if err != nil {
		return status(err)
	}
	toDir, err := f.nodes.get(in.Newdir)
	if err != nil {
		return status(err)
	}
	ctx, end := f.request(cancel, &in.InHeader)
	defer end()
	cred := f.credentials.of(&in.Caller)
	if err := f.hideReplaced(ctx, cred, fromDir, from, toDir, to); err != nil {
		return status(err)
	}
	return status(f.nfs.Rename(ctx, cred, fromDir.handle, from, toDir.handle, to))
}
