package nfsfuse

import (
	"context"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/pintle-io/pintle/plugins/volume/nfs/internal/nfs3"
)

const (
	// maxUncommitted bounds the unstable writes that are kept of one file,
	// maxUncommittedAll those of all, in bytes.
	maxUncommitted    = 8 << 20
	maxUncommittedAll = 64 << 20
	// maxChunk bounds what adjacent writes are put together to.
	maxChunk = 1 << 20
)

// writes are those that the server may still lose, in their order.
type writes struct {
	held   chan struct{} // capacity 1: full while somebody works on the rest
	chunks []chunk
	bytes  int
	cred   *nfs3.Cred // of the last write
}

type chunk struct {
	offset   uint64
	data     []byte
	verifier nfs3.Verifier
}

// lock waits no longer than ctx: who holds it may wait for a server.
func (w *writes) lock(ctx context.Context) error {
	select {
	case w.held <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writes) unlock() { <-w.held }

func (w *writes) keep(offset uint64, data []byte, v nfs3.Verifier) {
	w.bytes += len(data)
	if n := len(w.chunks); n > 0 {
		last := &w.chunks[n-1]
		if last.verifier == v && last.offset+uint64(len(last.data)) == offset && len(last.data)+len(data) <= maxChunk {
			last.data = append(last.data, data...)
			return
		}
	}
	w.chunks = append(w.chunks, chunk{offset, append([]byte(nil), data...), v})
}

// budget counts the bytes of all writes.
type budget struct {
	mu    sync.Mutex
	bytes int
}

func (b *budget) add(n int) (full bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes += n
	return b.bytes > maxUncommittedAll
}

func (f *FileSystem) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	h := f.handles.get(in.Fh)
	if h == nil {
		return nil, fuse.EBADF
	}
	ctx, end := f.request(cancel, &in.InHeader)
	defer end()
	n := 0
	for n < len(buf) {
		size := min(uint32(len(buf)-n), f.nfs.ReadSize)
		data, end, err := f.nfs.Read(ctx, h.cred, h.node.handle, in.Offset+uint64(n), size)
		if err != nil {
			return nil, status(err)
		}
		n += copy(buf[n:], data)
		if end || len(data) == 0 {
			break
		}
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

func (f *FileSystem) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	h := f.handles.get(in.Fh)
	if h == nil {
		return 0, fuse.EBADF
	}
	how := nfs3.Unstable
	if in.WriteFlags&fuse.WRITE_CACHE != 0 {
		how = nfs3.FileSync // A page that was mapped: no close follows.
	}
	ctx, end := f.request(cancel, &in.InHeader)
	defer end()
	n := h.node
	if err := n.writes.lock(ctx); err != nil {
		return 0, status(err)
	}
	defer n.writes.unlock()
	n.writes.cred = h.cred
	for done := 0; done < len(data); {
		part := data[done:min(len(data), done+int(f.nfs.WriteSize))]
		offset := in.Offset + uint64(done)
		w, err := f.nfs.Write(ctx, h.cred, n.handle, offset, part, how)
		if err != nil {
			if done > 0 {
				return uint32(done), fuse.OK
			}
			return 0, status(err)
		}
		done += int(w.Count)
		if w.Stable {
			continue
		}
		n.writes.keep(offset, part[:w.Count], w.Verifier)
		if full := f.uncommitted.add(int(w.Count)); full || n.writes.bytes > maxUncommitted {
			if err := f.commitLocked(ctx, n); err != nil {
				return 0, status(err)
			}
		}
	}
	return uint32(len(data)), fuse.OK
}

// commit makes the writes to a file stable. Those that a server which restarted
// may have lost are sent again.
func (f *FileSystem) commit(ctx context.Context, n *node) error {
	if err := n.writes.lock(ctx); err != nil {
		return err
	}
	defer n.writes.unlock()
	return f.commitLocked(ctx, n)
}

// commitLocked needs the lock of n.writes.
func (f *FileSystem) commitLocked(ctx context.Context, n *node) error {
	w := &n.writes
	if len(w.chunks) == 0 {
		return nil
	}
	v, err := f.nfs.Commit(ctx, w.cred, n.handle)
	if err != nil {
		return f.settle(w, err)
	}
	for i := range w.chunks {
		if w.chunks[i].verifier != v {
			// All, since a later write may lie over an earlier one.
			err = f.again(ctx, n)
			break
		}
	}
	return f.settle(w, err)
}

// settle drops what was committed, and what the server refuses for good; what
// could not be sent is kept for the next attempt.
func (f *FileSystem) settle(w *writes, err error) error {
	if err != nil && !final(err) {
		return err
	}
	f.uncommitted.add(-w.bytes)
	w.chunks, w.bytes = nil, 0
	return err
}

func (f *FileSystem) again(ctx context.Context, n *node) error {
	for _, c := range n.writes.chunks {
		for done := 0; done < len(c.data); {
			part := c.data[done:min(len(c.data), done+int(f.nfs.WriteSize))]
			w, err := f.nfs.Write(ctx, n.writes.cred, n.handle, c.offset+uint64(done), part, nfs3.FileSync)
			if err != nil {
				return err
			}
			done += int(w.Count)
		}
	}
	return nil
}
