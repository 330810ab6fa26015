package loop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pintle-io/pintle/core/auth"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/controller/stream"
)

// session is one stream to one instance.
type session struct {
	runner *Runner
	// run is the call of Run that the session is of.
	run  uint64
	spec *spec
	user auth.User
	log  *slog.Logger

	pending *pending
	woken   chan struct{}
	// draining is closed when the session is to finish; ended when it has.
	draining  chan struct{}
	drainOnce sync.Once
	ended     chan struct{}
	// sent is the revision up to which the plugin was sent everything.
	sent atomic.Uint64
	// floor is what sent must have reached before any work; set before the
	// session is told that it is active.
	floor uint64
	// sending is when the send under way began, in Unix nanoseconds; 0 for
	// none.
	sending  atomic.Int64
	flights  flights
	outbox   outbox
	presence presence
	applying sync.WaitGroup
	cut      context.CancelCauseFunc
	group    *errgroup.Group
	nonsense int // decisions refused; the receiver's
}

// serve runs one session to its end.
func (r *Runner) serve(ctx context.Context, run uint64, l Loop, spec *spec) error {
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	s := &session{
		runner:   r,
		run:      run,
		spec:     spec,
		user:     l.Identity,
		log:      r.log,
		pending:  newPending(),
		woken:    make(chan struct{}, 1),
		draining: make(chan struct{}),
		ended:    make(chan struct{}),
		flights:  flights{items: map[uint64]*flight{}},
		presence: newPresence(spec),
		cut:      cut,
	}
	defer close(s.ended)
	if r.isIdle() {
		r.setPhase(PhaseSyncing)
	}
	// Everything below ends with the group's context.
	group, ctx := errgroup.WithContext(ctx)
	s.group = group
	feed, err := r.opts.Source.Follow(auth.WithUser(ctx, l.Identity), spec.kinds)
	if err != nil {
		return fmt.Errorf("watch what the loop asks for: %w", err)
	}
	conn, err := l.Opener.Open(ctx)
	if err != nil {
		return fmt.Errorf("open the stream: %w", err)
	}
	group.Go(func() error { return s.feed(ctx, feed) })
	group.Go(func() error { return s.send(ctx, conn) })
	group.Go(func() error { return s.receive(ctx, conn) })
	group.Go(func() error { return s.supervise(ctx) })
	err = group.Wait()
	// Decisions that were taken are applied to the end: a half-applied one
	// would be neither here nor there.
	s.applying.Wait()
	for _, f := range s.flights.clear() {
		r.queue.done(f.item, result{failed: true, failures: f.item.failures})
	}
	r.deactivate(s)
	if errors.Is(context.Cause(ctx), errDrained) {
		return errDrained
	}
	return err
}

func (r *Runner) isIdle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.active == nil
}

// drain asks the session to finish and waits until it has ended.
func (s *session) drain(ctx context.Context) error {
	s.drainOnce.Do(func() { close(s.draining) })
	s.runner.setPhase(PhaseDraining)
	s.wake()
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		s.cut(errDrained)
		<-s.ended
		return ctx.Err()
	}
}

func (s *session) isDraining() bool {
	select {
	case <-s.draining:
		return true
	default:
		return false
	}
}

// wake makes the sender look for something to send.
func (s *session) wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// receive reads decisions until the plugin ends the stream.
func (s *session) receive(ctx context.Context, conn stream.Session) error {
	for {
		d, err := conn.Recv()
		switch {
		case errors.Is(err, io.EOF):
			if s.isDraining() && s.flights.len() == 0 {
				return errDrained
			}
			return errors.New("the plugin ended the stream though it was not told to")
		case err != nil:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("receive a decision: %w", err)
		}
		if err := s.take(d); err != nil {
			return err
		}
	}
}

// supervise cuts the stream off where the plugin keeps the core waiting.
func (s *session) supervise(ctx context.Context) error {
	opts := &s.runner.opts
	tick := time.NewTicker(max(min(opts.DecisionTimeout, opts.StallTimeout)/8, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		now := opts.Now()
		if f := s.flights.oldest(); f != nil && now.Sub(f.sent) > opts.DecisionTimeout {
			return &hungError{fmt.Sprintf("no decision about %s within %s", f.item.key, opts.DecisionTimeout)}
		}
		if began := s.sending.Load(); began != 0 && now.UnixNano()-began > int64(opts.StallTimeout) {
			return &hungError{fmt.Sprintf("the stream was left unread for %s", opts.StallTimeout)}
		}
		ready, waiting := s.runner.queue.depth()
		opts.Metrics.gauges(opts.Name, ready, waiting, s.flights.len())
	}
}

// hungError means that the plugin did not answer in time.
type hungError struct{ what string }

func (e *hungError) Error() string { return "the plugin hangs: " + e.what }

// floodError means that the plugin sent more nonsense than is borne.
type floodError struct{ what string }

func (e *floodError) Error() string { return "the plugin floods the core: " + e.what }

// causeOf names why a stream broke, for metrics.
func causeOf(err error) string {
	var hung *hungError
	var flood *floodError
	switch {
	case errors.As(err, &hung):
		return "hang"
	case errors.As(err, &flood):
		return "flood"
	}
	return "broken"
}

// sendMessage hands a message to the stream; only the sender calls it.
func (s *session) sendMessage(conn stream.Session, o *pluginv1.Observation) error {
	s.sending.Store(s.runner.opts.Now().UnixNano())
	err := conn.Send(o)
	s.sending.Store(0)
	if errors.Is(err, io.EOF) {
		// The receiver gets the stream's real error.
		return nil
	}
	if err != nil {
		return fmt.Errorf("send to the plugin: %w", err)
	}
	return nil
}
