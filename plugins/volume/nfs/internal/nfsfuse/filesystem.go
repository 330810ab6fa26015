package nfsfuse

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/pintle-io/pintle/plugins/volume/nfs/internal/nfs3"
	"github.com/pintle-io/pintle/plugins/volume/nfs/internal/oncrpc"
)

const (
	// cacheTime is how long the kernel trusts names and attributes.
	cacheTime    = time.Second
	closeTimeout = 30 * time.Second
	// maxTransfer is the largest request of the kernel, in bytes.
	maxTransfer = 1 << 20
	// maxInFlight bounds the memory of requests that are being served.
	maxInFlight = 64 << 20
)

// FileSystem is an export as a FUSE server's file system.
type FileSystem struct {
	fuse.RawFileSystem // answers ENOSYS to what is not here

	nfs         *nfs3.Client
	credentials *credentials
	nodes       *nodes
	handles     handles
	uncommitted budget
	life        context.Context
	end         context.CancelFunc

	mu     sync.Mutex
	server *fuse.Server
}

// Options of a mount.
type Options struct {
	Client *nfs3.Client
	// Machine is the host's name in credentials.
	Machine string
	// Source is shown in the list of mounts.
	Source   string
	Target   string
	ReadOnly bool
}

// Mount mounts the export. The caller serves it, and calls Close afterwards.
func Mount(o Options) (*fuse.Server, *FileSystem, error) {
	f := &FileSystem{
		RawFileSystem: fuse.NewDefaultRawFileSystem(),
		nfs:           o.Client,
		credentials:   newCredentials(o.Machine),
		nodes:         newNodes(o.Client.Root),
		handles:       handles{open: map[uint64]*handle{}},
	}
	f.life, f.end = context.WithCancel(context.Background())
	flags := uintptr(syscall.MS_NOSUID | syscall.MS_NODEV)
	if o.ReadOnly {
		flags |= syscall.MS_RDONLY
	}
	server, err := fuse.NewServer(f, o.Target, &fuse.MountOptions{
		AllowOther: true, FsName: o.Source, Name: "nfs",
		DirectMountStrict: true, DirectMountFlags: flags,
		MaxWrite: maxTransfer, MaxBackground: 64, MaxInflightRequestBytes: maxInFlight,
		DisableXAttrs: true,
		Logger:        slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	})
	if err != nil {
		f.end()
		return nil, nil, err
	}
	return server, f, nil
}

// Close commits what is left and gives up where that takes longer than ctx.
func (f *FileSystem) Close(ctx context.Context) error {
	defer f.end()
	var failed []error
	for _, n := range f.nodes.all() {
		if err := f.commit(ctx, n); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func (f *FileSystem) String() string { return "nfs" }

// Init is called before the first request.
func (f *FileSystem) Init(s *fuse.Server) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.server = s
}

// forget makes the kernel ask for the attributes of a node again. It takes no
// lock that a request holds.
func (f *FileSystem) forget(node uint64) {
	f.mu.Lock()
	server := f.server
	f.mu.Unlock()
	if server != nil {
		_ = server.InodeNotify(node, -1, 0)
	}
}

// status is what a system call answers to an error.
func status(err error) fuse.Status {
	if err == nil {
		return fuse.OK
	}
	var s nfs3.Status
	var errno syscall.Errno
	var refused *oncrpc.Refused
	switch {
	case errors.As(err, &s):
		return fuse.Status(s.Errno())
	case errors.As(err, &errno):
		return fuse.Status(errno)
	case errors.Is(err, context.Canceled):
		return fuse.EINTR
	case errors.As(err, &refused) && refused.Auth:
		return fuse.EACCES
	}
	return fuse.EIO
}

// Access answers access(2) and chdir(2).
func (f *FileSystem) Access(cancel <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	n, err := f.nodes.get(in.NodeId)
	if err != nil {
		return status(err)
	}
	ctx, end := f.request(cancel, &in.InHeader)
	defer end()
	cred := f.credentials.of(&in.Caller)
	wanted := permissions(in.Mask, n.isDir)
	if wanted == 0 {
		_, err := f.nfs.GetAttr(ctx, cred, n.handle)
		return status(err)
	}
	granted, err := f.nfs.Access(ctx, cred, n.handle, wanted)
	if err != nil {
		return status(err)
	}
	// A server may leave out what makes no sense for a file.
	for _, right := range []struct{ mask, any uint32 }{
		{fuse.R_OK, nfs3.AccessRead},
		{fuse.W_OK, nfs3.AccessModify | nfs3.AccessExtend},
		{fuse.X_OK, nfs3.AccessLookup | nfs3.AccessExecute},
	} {
		if in.Mask&right.mask != 0 && granted&right.any == 0 {
			return fuse.EACCES
		}
	}
	return fuse.OK
}

func permissions(mask uint32, isDir bool) (wanted uint32) {
	if mask&fuse.R_OK != 0 {
		wanted |= nfs3.AccessRead
	}
	if mask&fuse.W_OK != 0 {
		wanted |= nfs3.AccessModify | nfs3.AccessExtend
		if isDir {
			wanted |= nfs3.AccessDelete
		}
	}
	if mask&fuse.X_OK != 0 && isDir {
		wanted |= nfs3.AccessLookup
	}
	if mask&fuse.X_OK != 0 && !isDir {
		wanted |= nfs3.AccessExecute
	}
	return wanted
}

func (f *FileSystem) StatFs(cancel <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	ctx, end := f.request(cancel, in)
	defer end()
	s, err := f.nfs.FSStat(ctx, f.credentials.of(&in.Caller))
	if err != nil {
		return status(err)
	}
	const block = 4096
	out.Bsize, out.Frsize, out.NameLen = block, block, 255
	out.Blocks, out.Bfree, out.Bavail = s.Bytes/block, s.FreeBytes/block, s.AvailableBytes/block
	out.Files, out.Ffree = s.Files, s.FreeFiles
	return fuse.OK
}
