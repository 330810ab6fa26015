package loop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pintle-io/pintle/core/auth"
)

// Runner runs one loop on whatever instance serves it. See the package's
// comment.
type Runner struct {
	opts   Options
	log    *slog.Logger
	queue  *queue
	events *recorder
	// parallel bounds actions being applied.
	parallel chan struct{}

	mu     sync.Mutex
	status Status
	// active is the session that gets work; nil where none does.
	active *session
	// turn is held by the session that is or becomes the active one.
	turn chan struct{}
	// known are the keys that the last active session saw objects of.
	known map[Key]struct{}
}

// New makes a Runner. It does nothing before Run.
func New(opts Options) *Runner {
	opts.fill()
	r := &Runner{
		opts:     opts,
		log:      opts.Logger.With("loop", opts.Name),
		queue:    newQueue(opts.Backoff, opts.Now),
		parallel: make(chan struct{}, opts.Parallel),
		status:   Status{Phase: PhaseIdle, Since: opts.Now()},
		turn:     make(chan struct{}, 1),
	}
	r.events = newRecorder(&r.opts, r.log)
	return r
}

// errDrained ends a session that was drained.
var errDrained = errors.New("drained")

// Run runs the loop on an instance until ctx ends, Drain is called or another
// Run has taken over, and returns nil then. A broken stream is opened again
// with backoff for as long as that takes: end ctx when the instance is gone.
// An error means that the instance can't serve this loop at all.
//
// Where another Run is active the instance gets the whole state first; then the
// other one drains, and its Run returns.
func (r *Runner) Run(ctx context.Context, l Loop) error {
	spec, err := r.compile(l.Spec)
	if err != nil {
		return fmt.Errorf("loop %s: what it asks for can't be served: %w", r.opts.Name, err)
	}
	stop := r.events.start(auth.WithUser(context.WithoutCancel(ctx), l.Identity))
	defer stop()
	for failures := 0; ; {
		started := r.opts.Now()
		err := r.serve(ctx, l, spec)
		switch {
		case errors.Is(err, errDrained), ctx.Err() != nil:
			return nil
		case err == nil:
			err = errors.New("the plugin ended the stream though it was not told to")
		}
		if failures++; r.opts.Now().Sub(started) > r.opts.Restart.Max {
			failures = 1
		}
		wait := r.opts.Restart.delay(failures)
		r.fail(err, wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// Drain finishes what is in flight on the active instance, whose Run then
// returns. It returns ctx's error where that takes too long; the instance is
// then cut off and its work is due again.
func (r *Runner) Drain(ctx context.Context) error {
	r.mu.Lock()
	s := r.active
	r.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.drain(ctx)
}

// Status returns how the loop is doing.
func (r *Runner) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// Name of the loop.
func (r *Runner) Name() string { return r.opts.Name }

func (r *Runner) setPhase(p Phase) {
	r.changeStatus(func(s *Status) {
		if s.Phase != p {
			s.Phase, s.Since = p, r.opts.Now()
		}
	})
}

func (r *Runner) fail(err error, wait time.Duration) {
	r.log.Warn("stream to the loop broke", "error", err, "retry_after", wait)
	r.opts.Metrics.restarts.WithLabelValues(r.opts.Name, causeOf(err)).Inc()
	r.changeStatus(func(s *Status) {
		s.Restarts++
		s.LastError, s.LastErrorAt = err.Error(), r.opts.Now()
		if r.active == nil {
			s.Phase, s.Since = PhaseFailed, s.LastErrorAt
		}
	})
}

func (r *Runner) changeStatus(change func(*Status)) {
	r.mu.Lock()
	before := r.status
	change(&r.status)
	after := r.status
	r.mu.Unlock()
	if after != before && r.opts.OnStatus != nil {
		r.opts.OnStatus(after)
	}
}

// activate makes a synced session the one that gets work, once the one before
// has drained.
func (r *Runner) activate(ctx context.Context, s *session) error {
	r.mu.Lock()
	before := r.active
	r.mu.Unlock()
	if before != nil {
		r.log.Info("handing over to another instance")
		drained, cancel := context.WithTimeout(ctx, r.opts.DecisionTimeout)
		err := before.drain(drained)
		cancel()
		if err != nil {
			r.log.Warn("the instance before did not drain in time: its work is due again", "error", err)
		}
	}
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	r.mu.Lock()
	r.active = s
	gone := r.known
	r.known = nil
	r.mu.Unlock()
	for key := range gone {
		if _, ok := s.lookup(key); !ok {
			r.queue.add(key, 0)
		}
	}
	r.setPhase(PhaseRunning)
	s.wake()
	return nil
}

// deactivate ends what activate began, with the keys that the session saw.
func (r *Runner) deactivate(s *session) {
	r.mu.Lock()
	active := r.active == s
	if active {
		r.active = nil
		r.known = s.keys()
	}
	r.mu.Unlock()
	if active {
		<-r.turn
		r.setPhase(PhaseIdle)
	}
}
