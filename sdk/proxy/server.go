package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// A Sync that failed is tried again after retryFirst, doubled up to retryMost,
// or as soon as a change arrives.
const (
	retryFirst = 200 * time.Millisecond
	retryMost  = 30 * time.Second
)

// Serve runs the plugin until its host goes away. It does not return.
func Serve(info plugin.Info, p Proxy) { plugin.Serve(info, Contract(p)) }

// Contract is the plugin's side of the wire: Go to gRPC.
func Contract(p Proxy) plugin.Contract { return &server{proxy: p} }

type server struct {
	pluginv1.UnimplementedProxyServer
	proxy Proxy
	// turn is held while the implementation works, so that a new stream waits
	// for the end of the old one's Sync.
	turn sync.Mutex
}

func (s *server) Type() pluginv1.PluginType           { return pluginv1.PluginType_PLUGIN_TYPE_PROXY }
func (s *server) Register(r grpc.ServiceRegistrar)    { pluginv1.RegisterProxyServer(r, s) }
func (s *server) Implementation() any                 { return s.proxy }
func (s *server) Describe(*pluginv1.DescribeResponse) {}

func (s *server) Leave(ctx context.Context, _ *pluginv1.LeaveProxyRequest) (*pluginv1.LeaveProxyResponse, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	return &pluginv1.LeaveProxyResponse{}, s.proxy.Leave(ctx)
}

// Sync reads requests into the state with one goroutine and hands states to the
// implementation with another, so that what arrives meanwhile is merged.
func (s *server) Sync(stream grpc.BidiStreamingServer[pluginv1.SyncProxyRequest, pluginv1.SyncProxyResponse]) error {
	pending := newPending()
	received := make(chan error, 1)
	go func() {
		defer pending.close()
		for {
			req, err := stream.Recv()
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = nil
				}
				received <- err
				return
			}
			if err := pending.merge(req); err != nil {
				received <- err
				return
			}
		}
	}()
	retry := retryFirst
	for {
		state, ok := pending.next(stream.Context())
		if !ok {
			return <-received
		}
		result, err := s.sync(stream.Context(), state)
		if err != nil {
			slog.Warn("services could not be put in force, trying again", "err", err, "after", retry)
			pending.again(state, retry)
			retry = min(2*retry, retryMost)
			continue
		}
		retry = retryFirst
		res := &pluginv1.SyncProxyResponse{Revision: state.Revision}
		if result != nil {
			res.Errors = result.Errors
		}
		if err := stream.Send(res); err != nil {
			return err
		}
	}
}

func (s *server) sync(ctx context.Context, state *State) (*Result, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	return s.proxy.Sync(ctx, state)
}

// pending is the state as received with what the implementation was not told
// yet. Its size is that of the cluster's services; merging is what bounds it.
type pending struct {
	mu        sync.Mutex
	services  map[string]*Service
	revision  uint64
	changed   map[string]bool
	all       bool
	started   bool
	closed    bool
	notBefore time.Time
	wake      chan struct{}
}

func newPending() *pending {
	return &pending{services: map[string]*Service{}, changed: map[string]bool{}, wake: make(chan struct{}, 1)}
}

func (p *pending) merge(req *pluginv1.SyncProxyRequest) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case req.GetFull():
		p.services, p.all, p.started = map[string]*Service{}, true, true
	case !p.started:
		return errs.InvalidArgument("the first request of a stream must have full set")
	}
	for _, service := range req.GetSet() {
		key := service.GetNamespace() + "/" + service.GetName()
		p.services[key], p.changed[key] = service, true
	}
	for _, key := range req.GetRemoved() {
		delete(p.services, key)
		p.changed[key] = true
	}
	p.revision, p.notBefore = req.GetRevision(), time.Time{}
	p.signal()
	return nil
}

// next waits for a state that differs from the one handed out before.
func (p *pending) next(ctx context.Context) (*State, bool) {
	for {
		p.mu.Lock()
		var delay <-chan time.Time
		if p.all || len(p.changed) > 0 {
			wait := time.Until(p.notBefore)
			if wait <= 0 {
				state := &State{
					Revision: p.revision, Services: maps.Clone(p.services),
					Changed: slices.Sorted(maps.Keys(p.changed)), All: p.all,
				}
				p.changed, p.all = map[string]bool{}, false
				p.mu.Unlock()
				return state, true
			}
			delay = time.After(wait)
		}
		closed := p.closed
		p.mu.Unlock()
		if closed {
			return nil, false
		}
		select {
		case <-p.wake:
		case <-delay:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// again puts back what a failed Sync did not do.
func (p *pending) again(state *State, after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = p.all || state.All
	for _, key := range state.Changed {
		p.changed[key] = true
	}
	if p.revision == state.Revision {
		p.notBefore = time.Now().Add(after)
	}
}

func (p *pending) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.signal()
}

func (p *pending) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
