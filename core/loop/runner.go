package loop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pintle-io/pintle/core/auth"
	"github.com/pintle-io/pintle/core/registry"
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
	// changed is closed, and replaced, when active changes.
	changed chan struct{}
	// runs counts calls of Run; newest is the one that was last active.
	runs, newest uint64
	// known are the keys that the last active session saw objects of.
	known map[Key]struct{}
	// wrote is the newest revision that decisions made, by kind.
	wrote map[*registry.Kind]uint64
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
		changed:  make(chan struct{}),
		wrote:    map[*registry.Kind]uint64{},
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
// other one drains, and its Run returns. The Run that was called last wins.
func (r *Runner) Run(ctx context.Context, l Loop) error {
	spec, err := r.compile(l.Spec)
	if err != nil {
		return fmt.Errorf("loop %s: what it asks for can't be served: %w", r.opts.Name, err)
	}
	r.mu.Lock()
	r.runs++
	run := r.runs
	r.mu.Unlock()
	stop := r.events.start(auth.WithUser(context.WithoutCancel(ctx), l.Identity))
	defer stop()
	for failures := 0; ; {
		started := r.opts.Now()
		err := r.serve(ctx, run, l, spec)
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
// has drained. Where a later Run has been active already this one is over.
func (r *Runner) activate(ctx context.Context, s *session) error {
	for {
		r.mu.Lock()
		if r.newest > s.run {
			r.mu.Unlock()
			return errDrained
		}
		before, changed := r.active, r.changed
		if before == nil {
			gone := r.takeOver(s)
			r.mu.Unlock()
			for key := range gone {
				if _, ok := s.lookup(key); !ok {
					r.queue.add(key, 0)
				}
			}
			r.setPhase(PhaseRunning)
			return nil
		}
		r.mu.Unlock()
		r.handOver(ctx, before)
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// takeOver makes a session the active one and returns the keys that the one
// before saw objects of. The runner is locked.
func (r *Runner) takeOver(s *session) (gone map[Key]struct{}) {
	r.setActive(s)
	r.newest = s.run
	gone, r.known = r.known, nil
	// What the instance before wrote, this one must have been sent, though no
	// key waits for it any more.
	for _, kind := range s.spec.kinds {
		s.floor = max(s.floor, r.wrote[kind])
	}
	return gone
}

func (r *Runner) setActive(s *session) {
	r.active = s
	close(r.changed)
	r.changed = make(chan struct{})
}

// handOver drains the active session for another one.
func (r *Runner) handOver(ctx context.Context, before *session) {
	r.log.Info("handing over to another instance")
	ctx, cancel := context.WithTimeout(ctx, r.opts.DecisionTimeout)
	defer cancel()
	if err := before.drain(ctx); err != nil {
		r.log.Warn("the instance before did not drain in time: its work is due again", "error", err)
	}
}

// noteWrite remembers the newest revision that a decision made.
func (r *Runner) noteWrite(kind *registry.Kind, revision uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrote[kind] = max(r.wrote[kind], revision)
}

// deactivate ends what activate began, and keeps the keys that the session saw.
func (r *Runner) deactivate(s *session) {
	r.mu.Lock()
	active := r.active == s
	if active {
		r.setActive(nil)
		r.known = s.keys()
	}
	r.mu.Unlock()
	if active {
		r.setPhase(PhaseIdle)
	}
}
