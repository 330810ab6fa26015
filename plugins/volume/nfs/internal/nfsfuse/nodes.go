package nfsfuse

import (
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/plugins/volume/nfs/internal/nfs3"
)

// node is a file that the kernel knows by a number.
type node struct {
	id     uint64
	handle nfs3.Handle
	isDir  bool

	lookups uint64 // guarded by nodes.mu
	writes  writes

	mu     sync.Mutex
	opened int // handles of it
	hidden *hiddenName
}

func newNode(id uint64, h nfs3.Handle, isDir bool) *node {
	return &node{id: id, handle: h, isDir: isDir, writes: writes{held: make(chan struct{}, 1)}}
}

// nodes is the kernel's view: a number a handle, as long as the kernel holds
// it.
type nodes struct {
	mu       sync.Mutex
	last     uint64
	byID     map[uint64]*node
	byHandle map[nfs3.Handle]*node
}

func newNodes(root nfs3.Handle) *nodes {
	n := newNode(fuse.FUSE_ROOT_ID, root, true)
	n.lookups = 1
	return &nodes{
		last:     n.id,
		byID:     map[uint64]*node{n.id: n},
		byHandle: map[nfs3.Handle]*node{root: n},
	}
}

// get is ESTALE for a number that the kernel has no right to.
func (s *nodes) get(id uint64) (*node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.byID[id]; n != nil {
		return n, nil
	}
	return nil, syscall.ESTALE
}

// find is nil for a file that the kernel does not know.
func (s *nodes) find(h nfs3.Handle) *node {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byHandle[h]
}

func (s *nodes) all() []*node {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*node, 0, len(s.byID))
	for _, n := range s.byID {
		all = append(all, n)
	}
	return all
}

// hold counts one lookup of the kernel.
func (s *nodes) hold(e nfs3.Entry) *node {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.byHandle[e.Handle]
	if n == nil {
		s.last++
		n = newNode(s.last, e.Handle, e.Attributes.IsDir())
		s.byID[n.id], s.byHandle[n.handle] = n, n
	}
	n.lookups++
	return n
}

// release takes lookups back.
func (s *nodes) release(id, lookups uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.byID[id]
	if n == nil || id == fuse.FUSE_ROOT_ID {
		return
	}
	n.lookups -= min(lookups, n.lookups)
	if n.lookups == 0 {
		delete(s.byID, id)
		delete(s.byHandle, n.handle)
	}
}

func (f *FileSystem) Forget(node, lookups uint64) { f.nodes.release(node, lookups) }

// enter fills in the answer that gives the kernel a file.
func (f *FileSystem) enter(e nfs3.Entry, out *fuse.EntryOut) *node {
	n := f.nodes.hold(e)
	out.NodeId, out.Generation = n.id, 1
	out.SetEntryTimeout(cacheTime)
	out.SetAttrTimeout(cacheTime)
	fill(e.Attributes, &out.Attr)
	return n
}

func fill(a *nfs3.Attributes, out *fuse.Attr) {
	const sector = 512 // the unit of st_blocks
	*out = fuse.Attr{
		Ino: a.FileID, Size: a.Size, Blocks: (a.Used + sector - 1) / sector,
		Atime: uint64(a.Atime.Seconds), Atimensec: a.Atime.Nanoseconds,
		Mtime: uint64(a.Mtime.Seconds), Mtimensec: a.Mtime.Nanoseconds,
		Ctime: uint64(a.Ctime.Seconds), Ctimensec: a.Ctime.Nanoseconds,
		Mode: a.Mode, Nlink: a.Links, Owner: fuse.Owner{Uid: a.UID, Gid: a.GID},
		Rdev: uint32(unix.Mkdev(a.Major, a.Minor)), Blksize: maxTransfer,
	}
}

func (f *FileSystem) Lookup(cancel <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	dir, err := f.nodes.get(in.NodeId)
	if err != nil {
		return status(err)
	}
	ctx, end := f.request(cancel, in)
	defer end()
	e, err := f.nfs.Lookup(ctx, f.credentials.of(&in.Caller), dir.handle, name)
	if err != nil {
		return status(err)
	}
	f.enter(e, out)
	return fuse.OK
}

func (f *FileSystem) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	n, err := f.nodes.get(in.NodeId)
	if err != nil {
		return status(err)
	}
	ctx, end := f.request(cancel, &in.InHeader)
	defer end()
	a, err := f.nfs.GetAttr(ctx, f.credentials.of(&in.Caller), n.handle)
	if err != nil {
		return status(err)
	}
	out.SetTimeout(cacheTime)
	fill(a, &out.Attr)
	return fuse.OK
}

func (f *FileSystem) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	n, err := f.nodes.get(in.NodeId)
	if err != nil {
		return status(err)
	}
	ctx, end := f.request(cancel, &in.InHeader)
	defer end()
	cred := f.credentials.of(&in.Caller)
	changes := changesOf(in)
	if changes.Size != nil {
		if h := f.handles.get(in.Fh); in.Valid&fuse.FATTR_FH != 0 && h != nil {
			cred = h.cred // ftruncate(2) needs no permission but that of the open
		}
		// Writes that would be sent again later must not undo the cut.
		if err := f.commit(ctx, n); err != nil {
			return status(err)
		}
	}
	a, err := f.nfs.SetAttr(ctx, cred, n.handle, changes)
	if err != nil {
		return status(err)
	}
	out.SetTimeout(cacheTime)
	fill(a, &out.Attr)
	return fuse.OK
}

func changesOf(in *fuse.SetAttrIn) *nfs3.Changes {
	c := &nfs3.Changes{}
	if mode, ok := in.GetMode(); ok {
		c.Mode = &mode
	}
	if uid, ok := in.GetUID(); ok {
		c.UID = &uid
	}
	if gid, ok := in.GetGID(); ok {
		c.GID = &gid
	}
	if size, ok := in.GetSize(); ok {
		c.Size = &size
	}
	if in.Valid&fuse.FATTR_ATIME_NOW != 0 {
		c.Atime = &nfs3.Touch{}
	} else if at, ok := in.GetATime(); ok {
		c.Atime = &nfs3.Touch{At: nfs3.TimeOf(at)}
	}
	if in.Valid&fuse.FATTR_MTIME_NOW != 0 {
		c.Mtime = &nfs3.Touch{}
	} else if at, ok := in.GetMTime(); ok {
		c.Mtime = &nfs3.Touch{At: nfs3.TimeOf(at)}
	}
	return c
}
