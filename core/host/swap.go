package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pintle-io/pintle/sdk/errs"
)

// crashesUntilRollback is how often a plugin that was swapped in may fail before
// it ran for Backoff.StableAfter; then the one before it is back.
const crashesUntilRollback = 3

// DrainTimeout is how long a swapped-out instance is kept for its users.
const DrainTimeout = 30 * time.Second

// command asks the loop to take over a started instance, or, with none, to
// start from the spec anew.
type command struct {
	spec     Spec
	instance *Instance
	reply    chan error
}

// errRunning is the loop's answer to a start while a process runs.
var errRunning = errors.New("the plugin is running")

// Swap replaces the plugin by another executable, configuration or both. The
// new process is started and checked beside the old one; only then it takes
// over, and the old one is stopped once its users released it. When the new one
// fails its checks, Swap returns why and the old one just goes on. When the new
// one passes them and then fails again and again before it proved stable, the
// supervisor goes back to the old one by itself, and State.RolledBack says why.
//
// Where no process is running there is nothing to keep: the new spec replaces
// the old one at once, and Swap returns the outcome of its first start.
func (s *Supervisor) Swap(ctx context.Context, spec Spec) error {
	select {
	case s.swapping <- struct{}{}:
		defer func() { <-s.swapping }()
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return errStopped
	}
	for {
		c := command{spec: spec, reply: make(chan error, 1)}
		if s.running() != nil {
			i, err := s.host.Start(ctx, spec)
			if err != nil {
				return err
			}
			c.instance = i
		}
		err := s.do(ctx, c)
		if errors.Is(err, errRunning) {
			continue // it came up in between: swap properly
		}
		return err
	}
}

func (s *Supervisor) do(ctx context.Context, c command) error {
	refuse := func(err error) error {
		if c.instance != nil {
			_ = c.instance.Stop(ctx)
		}
		return err
	}
	select {
	case s.commands <- c:
	case <-s.done:
		return refuse(errStopped)
	case <-ctx.Done():
		return refuse(ctx.Err())
	}
	select {
	case err := <-c.reply:
		return err
	case <-s.done:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drain stops an instance that was swapped out once its users released it.
func (s *Supervisor) drain(old *Instance, released <-chan struct{}) {
	timer := s.host.opts.Clock.NewTimer(DrainTimeout)
	defer timer.Stop()
	select {
	case <-released:
	case <-old.Done():
	case <-timer.C():
		s.host.log.Warn("users of a plugin that was swapped out did not release it in time: stopping it", "plugin", old.spec.ID(), "pid", old.PID(), "timeout", DrainTimeout)
	case <-s.ctx.Done():
	}
	s.stopInstance(old)
}

// rollBack returns to what ran before the last swap.
func (s *Supervisor) rollBack(to Spec, why error) {
	s.host.log.Warn("plugin failed again and again after a swap: going back to the one before", "plugin", to.ID(), "executable", to.Executable, "error", why)
	s.setSpec(to)
	s.update(func(st *State) {
		st.RolledBack = fmt.Sprintf("rolled back to %s, because what replaced it failed %d times: %s", to.Executable, crashesUntilRollback, errs.Text(why))
	})
}
