package services

import (
	"context"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/tools/record"

	"github.com/pintle-io/pintle/core/node/internal/plugins"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/proxy"
)

const (
	minRetry = 200 * time.Millisecond
	maxRetry = 10 * time.Second
	// ackTimeout ends a stream whose proxy does not answer.
	ackTimeout = 2 * time.Minute
)

// Source of services, by "namespace/name".
type Source interface {
	Synced() bool
	Keys() []string
	Service(key string) *corev1.Service
	Slices(key string) []*discoveryv1.EndpointSlice
}

// Feed of the proxy plugin.
type Feed struct {
	plugins plugins.Lookup
	source  Source
	node    string
	events  record.EventRecorder
	log     *slog.Logger
	wake    chan struct{}

	mu       sync.Mutex
	dirty    map[string]struct{}
	problems map[string]string
	inForce  bool
}

// NewFeed makes a Feed for the node of that name.
func NewFeed(lookup plugins.Lookup, source Source, node string, events record.EventRecorder, log *slog.Logger) *Feed {
	return &Feed{
		plugins: lookup, source: source, node: node, events: events, log: log,
		wake: make(chan struct{}, 1), dirty: map[string]struct{}{}, problems: map[string]string{},
	}
}

// Changed says that a service or its endpoints changed. It does not block.
func (f *Feed) Changed(key string) {
	f.mu.Lock()
	f.dirty[key] = struct{}{}
	f.mu.Unlock()
	f.kick()
}

func (f *Feed) kick() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// InForce says whether the proxy has acknowledged a whole state.
func (f *Feed) InForce() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inForce
}

// Run feeds the proxy until ctx ends.
func (f *Feed) Run(ctx context.Context) {
	changed := make(chan struct{}, 1)
	unsubscribe := f.plugins.Subscribe(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer unsubscribe()
	retry := minRetry
	for ctx.Err() == nil {
		if f.source.Synced() {
			began := time.Now()
			err := f.stream(ctx)
			f.mu.Lock()
			f.inForce = false
			f.mu.Unlock()
			if ctx.Err() != nil {
				return
			}
			if time.Since(began) > maxRetry {
				retry = minRetry
			}
			f.log.Debug("the stream to the proxy plugin ended", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-changed:
			retry = minRetry
		case <-time.After(retry):
			retry = min(2*retry, maxRetry)
		}
	}
}

// stream serves one stream to its end.
func (f *Feed) stream(ctx context.Context) error {
	p, err := f.plugins.Proxy()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stream, err := p.Sync(ctx)
	if err != nil {
		return err
	}
	acks := make(chan *pluginv1.SyncProxyResponse)
	go receive(ctx, stream, acks, cancel)

	revision := uint64(1)
	req := f.full(revision)
	for {
		if err := stream.Send(req); err != nil {
			return err
		}
		if err := f.await(ctx, acks, revision); err != nil {
			return err
		}
		for req = nil; req == nil; {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case ack := <-acks:
				f.report(ack)
			case <-f.wake:
				revision++
				req = f.changes(revision)
			}
		}
	}
}

// receive hands acknowledgements on; it ends with the stream.
func receive(ctx context.Context, stream proxy.Stream, acks chan<- *pluginv1.SyncProxyResponse, cancel context.CancelCauseFunc) {
	for {
		ack, err := stream.Recv()
		if err != nil {
			cancel(err)
			return
		}
		select {
		case acks <- ack:
		case <-ctx.Done():
			return
		}
	}
}

func (f *Feed) await(ctx context.Context, acks <-chan *pluginv1.SyncProxyResponse, revision uint64) error {
	timeout := time.NewTimer(ackTimeout)
	defer timeout.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timeout.C:
			return errs.DeadlineExceeded("the proxy plugin did not acknowledge revision %d within %s", revision, ackTimeout)
		case ack := <-acks:
			f.report(ack)
			if ack.Revision >= revision {
				return nil
			}
		}
	}
}

// report tells people of services that the proxy can't serve.
func (f *Feed) report(ack *pluginv1.SyncProxyResponse) {
	f.mu.Lock()
	f.inForce = true
	news := map[string]string{}
	for key, text := range ack.Errors {
		if f.problems[key] != text {
			news[key] = text
		}
	}
	f.problems = ack.Errors
	f.mu.Unlock()
	for key, text := range news {
		f.log.Warn("the proxy can't serve a service", "service", key, "error", text)
		if s := f.source.Service(key); s != nil {
			f.events.Eventf(&corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: s.Namespace, Name: s.Name, UID: s.UID},
				corev1.EventTypeWarning, "FailedProxyRules", "Node %s: %s", f.node, text)
		}
	}
}

// full is the whole state.
func (f *Feed) full(revision uint64) *pluginv1.SyncProxyRequest {
	f.mu.Lock()
	clear(f.dirty)
	f.mu.Unlock()
	req := &pluginv1.SyncProxyRequest{Revision: revision, Full: true}
	for _, key := range f.source.Keys() {
		if s := f.build(key); s != nil {
			req.Set = append(req.Set, s)
		}
	}
	return req
}

func (f *Feed) build(key string) *pluginv1.ProxyService {
	s := f.source.Service(key)
	if s == nil {
		return nil
	}
	return Build(s, f.source.Slices(key), f.node)
}

// changes is what is dirty, nil where nothing is.
func (f *Feed) changes(revision uint64) *pluginv1.SyncProxyRequest {
	f.mu.Lock()
	keys := make([]string, 0, len(f.dirty))
	for key := range f.dirty {
		keys = append(keys, key)
	}
	clear(f.dirty)
	f.mu.Unlock()
	if len(keys) == 0 {
		return nil
	}
	req := &pluginv1.SyncProxyRequest{Revision: revision}
	for _, key := range keys {
		if s := f.build(key); s != nil {
			req.Set = append(req.Set, s)
		} else {
			req.Removed = append(req.Removed, key)
		}
	}
	return req
}
