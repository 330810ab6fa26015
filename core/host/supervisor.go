package host

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// Hooks are called by a Supervisor, in order and one at a time. They must
// neither block nor call the Supervisor's Swap or Stop. Each may be nil.
type Hooks struct {
	// State is called with every new state.
	State func(State)
	// Instance is called whenever the instance to use changes, and whenever one
	// could not be started.
	Instance func(Change)
}

// Change says which instance to use from now on.
type Change struct {
	// Instance is the one to use; nil while there is none.
	Instance *Instance
	// Old is the instance that a swap replaced. It runs on until Release is
	// called, so that its work can be drained; after DrainTimeout it is
	// stopped anyway. nil without a swap.
	Old *Instance
	// Release says that nobody uses Old any more. It is never nil, and may be
	// called more than once.
	Release func()
	// Err is why there is no instance.
	Err error
}

// Supervisor keeps one plugin running.
type Supervisor struct {
	host  *Host
	hooks Hooks

	ctx       context.Context // ends when the supervisor is told to stop
	cancel    context.CancelFunc
	done      chan struct{}
	commands  chan command
	swapping  chan struct{} // holds one token: swaps take turns
	drains    sync.WaitGroup
	hurry     chan struct{} // closed by Stop when its context ends
	hurryOnce sync.Once

	delivering sync.Mutex // orders the hooks; taken before mu

	mu      sync.Mutex
	spec    Spec
	state   State
	current *Instance
	changed chan struct{} // closed and replaced at every change
}

// Supervise keeps a plugin running until Stop. onChange may be nil; see Hooks.
func (h *Host) Supervise(spec Spec, onChange func(State)) *Supervisor {
	return h.SuperviseWith(spec, Hooks{State: onChange})
}

// SuperviseWith is Supervise with all hooks.
func (h *Host) SuperviseWith(spec Spec, hooks Hooks) *Supervisor {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Supervisor{
		host:     h,
		hooks:    hooks,
		ctx:      ctx,
		cancel:   cancel,
		done:     make(chan struct{}),
		commands: make(chan command),
		swapping: make(chan struct{}, 1),
		hurry:    make(chan struct{}),
		spec:     spec,
		state:    State{Phase: PhaseStarting, Executable: spec.Executable},
		changed:  make(chan struct{}),
	}
	h.mu.Lock()
	closed := h.closed
	if !closed {
		h.supervisors[s] = struct{}{}
	}
	h.mu.Unlock()
	if closed {
		cancel()
	}
	go s.run()
	return s
}

// attempt is the outcome of one start.
type attempt struct {
	instance *Instance
	err      error
}

// run is the loop: it owns the current instance and decides when to start the
// next.
func (s *Supervisor) run() {
	defer close(s.done)
	defer s.leave()

	var (
		failures int
		fallback *Spec              // what ran before the last swap, until the new one proved stable
		crashes  int                // of the new one since
		starting context.CancelFunc // not nil while a start is under way
		results  chan attempt
		retry    clock.Timer
		waiting  []chan error // who waits for the outcome of the start
	)
	begin := func() {
		var ctx context.Context
		ctx, starting = context.WithCancel(s.ctx)
		spec := s.Spec()
		out := make(chan attempt, 1)
		results = out
		s.update(func(st *State) {
			st.Executable, st.RetryAt = spec.Executable, time.Time{}
			if failures == 0 {
				st.Phase = PhaseStarting
			}
		})
		go func() {
			i, err := s.host.Start(ctx, spec)
			out <- attempt{i, err}
		}()
	}
	abandon := func() {
		if starting == nil {
			return
		}
		starting()
		if a := <-results; a.instance != nil {
			_ = a.instance.Stop(s.ctx)
		}
		starting, results = nil, nil
	}
	fail := func(err error) {
		failures++
		if fallback != nil {
			if crashes++; crashes == crashesUntilRollback {
				s.lost(err, failures, s.host.opts.Clock.Now())
				s.rollBack(*fallback, err)
				fallback, failures = nil, 0
				begin()
				return
			}
		}
		delay := s.host.opts.Backoff.delay(failures, rand.Float64())
		retry = s.host.opts.Clock.NewTimer(delay)
		s.lost(err, failures, s.host.opts.Clock.Now().Add(delay))
	}
	answer := func(err error) {
		for _, w := range waiting {
			w <- err
		}
		waiting = nil
	}
	defer func() { answer(errStopped) }()

	begin()
	for {
		var gone <-chan struct{}
		current := s.running()
		if current != nil {
			gone = current.Done()
		}
		var due <-chan time.Time
		if retry != nil {
			due = retry.C()
		}
		select {
		case <-s.ctx.Done():
			abandon()
			if retry != nil {
				retry.Stop()
			}
			return

		case a := <-results:
			starting()
			starting, results = nil, nil
			if a.err != nil {
				if s.ctx.Err() == nil {
					fail(a.err)
				}
			} else {
				s.install(a.instance)
			}
			answer(a.err)

		case <-due:
			retry = nil
			spec := s.Spec()
			s.host.metrics.restarts.WithLabelValues(plugin.TypeName(spec.Type), spec.Name).Inc()
			s.update(func(st *State) { st.Restarts++ })
			begin()

		case <-gone:
			if s.host.opts.Clock.Since(current.Started()) >= s.host.opts.Backoff.StableAfter {
				failures, fallback = 0, nil
			}
			fail(current.Err())

		case c := <-s.commands:
			if c.instance == nil && current != nil {
				c.reply <- errRunning
				continue
			}
			abandon()
			if retry != nil {
				retry.Stop()
				retry = nil
			}
			failures, crashes, fallback = 0, 0, nil
			if current != nil {
				old := s.Spec()
				fallback = &old
			}
			s.setSpec(c.spec)
			if c.instance != nil {
				s.install(c.instance)
				c.reply <- nil
				answer(nil)
				continue
			}
			s.update(func(st *State) { st.RolledBack = "" })
			waiting = append(waiting, c.reply)
			begin()
		}
	}
}

// leave stops what runs when the loop ends.
func (s *Supervisor) leave() {
	if current := s.running(); current != nil {
		s.stopInstance(current)
	}
	s.delivering.Lock()
	s.mu.Lock()
	s.current = nil
	s.state.stopped()
	s.state.Phase = PhaseStopped
	state := s.state
	s.broadcast()
	s.mu.Unlock()
	spec := s.spec
	s.host.metrics.up.DeleteLabelValues(plugin.TypeName(spec.Type), spec.Name)
	s.deliver(state, &Change{Err: errStopped, Release: func() {}})
	s.delivering.Unlock()

	s.drains.Wait()
	s.host.mu.Lock()
	delete(s.host.supervisors, s)
	s.host.mu.Unlock()
}

// stopInstance stops an instance, with less patience once Stop's context ends.
func (s *Supervisor) stopInstance(i *Instance) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-s.hurry:
			cancel()
		case <-ctx.Done():
		}
	}()
	_ = i.Stop(ctx)
}

// install makes an instance the current one.
func (s *Supervisor) install(i *Instance) {
	s.delivering.Lock()
	defer s.delivering.Unlock()
	s.mu.Lock()
	old := s.current
	s.current = i
	s.state.running(i)
	if old != nil {
		// Another plugin, another story.
		s.state.RolledBack, s.state.LastError, s.state.Reason = "", "", ""
	}
	state := s.state
	s.broadcast()
	s.mu.Unlock()

	s.host.metrics.up.WithLabelValues(plugin.TypeName(i.spec.Type), i.spec.Name).Set(1)
	s.host.log.Info("plugin runs", "plugin", i.spec.ID(), "version", state.Version, "contract", state.ContractVersion,
		"pid", state.PID, "executable", state.Executable, "sha256", state.SHA256, "mutualTLS", state.MutualTLS, "swap", old != nil)
	change := &Change{Instance: i, Old: old, Release: func() {}}
	if old != nil {
		released := make(chan struct{})
		change.Release = sync.OnceFunc(func() { close(released) })
		if s.hooks.Instance == nil {
			change.Release()
		}
		s.drains.Go(func() { s.drain(old, released) })
	}
	go s.watchHealth(i)
	s.deliver(state, change)
}

// lost notes that there is no instance because of err.
func (s *Supervisor) lost(err error, failures int, retryAt time.Time) {
	s.delivering.Lock()
	defer s.delivering.Unlock()
	s.mu.Lock()
	s.current = nil
	s.state.failed(err, failures, retryAt)
	state := s.state
	s.broadcast()
	spec := s.spec
	s.mu.Unlock()
	s.host.metrics.up.WithLabelValues(plugin.TypeName(spec.Type), spec.Name).Set(0)
	s.host.log.Warn("plugin failed", "plugin", spec.ID(), "phase", state.Phase, "error", err, "hint", errs.Hint(err), "failures", failures, "retryAt", retryAt)
	s.deliver(state, &Change{Err: err, Release: func() {}})
}

// update changes the state and tells.
func (s *Supervisor) update(f func(*State)) {
	s.delivering.Lock()
	defer s.delivering.Unlock()
	s.mu.Lock()
	before := s.state
	f(&s.state)
	state := s.state
	if state != before {
		s.broadcast()
	}
	s.mu.Unlock()
	if state != before {
		s.deliver(state, nil)
	}
}

// deliver calls the hooks. The caller holds delivering.
func (s *Supervisor) deliver(state State, change *Change) {
	if change != nil && s.hooks.Instance != nil {
		s.hooks.Instance(*change)
	}
	if s.hooks.State != nil {
		s.hooks.State(state)
	}
}

// broadcast wakes who waits for a change. The caller holds mu.
func (s *Supervisor) broadcast() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Supervisor) running() *Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

func (s *Supervisor) setSpec(spec Spec) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spec = spec
}

// Spec returns what the supervisor keeps running.
func (s *Supervisor) Spec() Spec {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spec
}

// State returns how the plugin is.
func (s *Supervisor) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Current returns the running instance, or nil.
func (s *Supervisor) Current() *Instance { return s.running() }

// Instance waits for a running instance. Its error says why there is none:
// errs.ClassUnavailable with the plugin's last error when ctx ends first,
// errs.ClassPluginGone when the supervisor was stopped.
func (s *Supervisor) Instance(ctx context.Context) (*Instance, error) {
	for {
		s.mu.Lock()
		current, state, changed, id := s.current, s.state, s.changed, s.spec.ID()
		s.mu.Unlock()
		switch {
		case current != nil && current.Err() == nil:
			return current, nil
		case state.Phase == PhaseStopped:
			return nil, errs.PluginGone("plugin %s was stopped", id)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			why := "it has not started yet"
			if state.LastError != "" {
				why = state.LastError
			}
			return nil, errs.New(errs.ClassUnavailable, "PluginNotRunning", "see: kubectl get plugins",
				fmt.Errorf("plugin %s is not running (%s): %s", id, state.Phase, why))
		}
	}
}

// Stop stops the plugin and the supervisor, and returns when the process is
// gone. When ctx ends first, the process is killed.
func (s *Supervisor) Stop(ctx context.Context) error {
	s.cancel()
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
	}
	s.hurryOnce.Do(func() { close(s.hurry) })
	<-s.done
	return nil
}
