package engine

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/pintle-io/pintle/sdk/runtime"
)

// progressInterval is how often a pull reports.
const progressInterval = 200 * time.Millisecond

// progress counts the bytes of one pull and reports them from one goroutine.
type progress struct {
	report func(*runtime.PullProgress)
	done   atomic.Int64

	mu    sync.Mutex
	total int64
	seen  map[digest.Digest]bool

	stopping chan struct{}
	stopped  chan struct{}
}

func startProgress(report func(*runtime.PullProgress)) *progress {
	p := &progress{report: report, seen: map[digest.Digest]bool{}, stopping: make(chan struct{}), stopped: make(chan struct{})}
	go p.run()
	return p
}

func (p *progress) run() {
	defer close(p.stopped)
	ticker := time.NewTicker(progressInterval)
	defer ticker.Stop()
	for {
		select {
		case <-p.stopping:
			p.send("pulled")
			return
		case <-ticker.C:
			p.send("pulling")
		}
	}
}

func (p *progress) send(status string) {
	p.mu.Lock()
	total := p.total
	p.mu.Unlock()
	if p.report != nil {
		p.report(&runtime.PullProgress{Status: status, DoneBytes: p.done.Load(), TotalBytes: total})
	}
}

// stop makes the last report; there is none after it.
func (p *progress) stop() {
	close(p.stopping)
	<-p.stopped
}

// expect adds what is going to be fetched, each digest once.
func (p *progress) expect(desc imagespec.Descriptor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.seen[desc.Digest] {
		p.seen[desc.Digest] = true
		p.total += desc.Size
	}
}

// countChildren learns from a manifest what is to come.
func (p *progress) countChildren(next images.Handler) images.Handler {
	return images.HandlerFunc(func(ctx context.Context, desc imagespec.Descriptor) ([]imagespec.Descriptor, error) {
		children, err := next.Handle(ctx, desc)
		if images.IsManifestType(desc.MediaType) {
			for _, child := range children {
				p.expect(child)
			}
		}
		return children, err
	})
}

// countingResolver counts what its fetchers fetch.
type countingResolver struct {
	remotes.Resolver
	progress *progress
}

func (r countingResolver) Fetcher(ctx context.Context, ref string) (remotes.Fetcher, error) {
	fetcher, err := r.Resolver.Fetcher(ctx, ref)
	if err != nil {
		return nil, err
	}
	return remotes.FetcherFunc(func(ctx context.Context, desc imagespec.Descriptor) (io.ReadCloser, error) {
		content, err := fetcher.Fetch(ctx, desc)
		if err != nil {
			return nil, err
		}
		r.progress.expect(desc)
		return &countingReader{ReadCloser: content, done: &r.progress.done}, nil
	}), nil
}

type countingReader struct {
	io.ReadCloser
	done *atomic.Int64
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.done.Add(int64(n))
	return n, err
}

// Seek lets a fetch that broke off go on where it was.
func (r *countingReader) Seek(offset int64, whence int) (int64, error) {
	seeker, ok := r.ReadCloser.(io.Seeker)
	if !ok {
		return 0, errors.New("this content can't be resumed")
	}
	return seeker.Seek(offset, whence)
}
