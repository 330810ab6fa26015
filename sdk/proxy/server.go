package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// A Sync that failed is tried again after retryFirst, doubled up to retryMost,
// or as soon as a change arrives.
const (
	retryFirst = 200 * time.Millisecond
	retryMost  = 30 * time.Second
)

// verifyEvery is the time between two looks of a Verifier.
const verifyEvery = 10 * time.Second

// Serve runs the plugin until its host goes away. It does not return.
func Serve(info plugin.Info, p Proxy) { plugin.Serve(info, Contract(p)) }

// Contract is the plugin's side of the wire: Go to gRPC.
func Contract(p Proxy) plugin.Contract { return &server{proxy: p, verifyEvery: verifyEvery} }

type server struct {
	pluginv1.UnimplementedProxyServer
	proxy Proxy
	// turn is held while the implementation works, so that a new stream waits
	// for the end of the old one's Sync.
	turn sync.Mutex
	// verifyEvery is the constant but in tests.
	verifyEvery time.Duration
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
	if v, ok := s.proxy.(Verifier); ok {
		go s.verify(stream.Context(), v, pending)
	}
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

// verify looks whether the rules are there until the stream ends.
func (s *server) verify(ctx context.Context, v Verifier, pending *pending) {
	ticker := time.NewTicker(s.verifyEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		s.turn.Lock()
		intact, err := v.Verify(ctx)
		s.turn.Unlock()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			slog.Warn("the rules of services could not be looked at", "err", err)
		case !intact:
			slog.Warn("somebody removed rules of services, making them again")
			pending.redo()
		}
	}
}
