package host

import (
	"context"
	"fmt"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// ReasonHung is the reason of a process that was killed because it lived but
// did not answer.
const ReasonHung = "Hung"

// watchHealth asks the current instance for its health at an interval, until it
// is gone or replaced. One that does not answer several times in a row is
// killed; the loop then starts the next.
func (s *Supervisor) watchHealth(i *Instance) {
	opts := s.host.opts
	ticker := opts.Clock.NewTicker(opts.HealthInterval)
	defer ticker.Stop()
	unanswered := 0
	for {
		select {
		case <-i.Done():
			return
		case <-ticker.C():
		}
		if s.running() != i {
			return
		}
		healthy, message, err := i.Health(context.Background())
		if err != nil {
			if i.ending() || errs.Is(err, errs.ClassPluginGone) && i.Err() != nil {
				return
			}
			unanswered++
			s.host.metrics.healthFailed.WithLabelValues(plugin.TypeName(i.spec.Type), i.spec.Name).Inc()
			if unanswered >= opts.HealthFailures {
				i.end(errs.New(errs.ClassDeadlineExceeded, ReasonHung, "",
					fmt.Errorf("it was killed because it did not answer %d health checks in a row: %w", unanswered, err)))
				return
			}
			continue
		}
		unanswered = 0
		if healthy {
			message = ""
		} else if message == "" {
			message = "it says that it is unhealthy, not why"
		}
		s.update(func(st *State) {
			if st.PID == i.PID() {
				st.Unhealthy = message
			}
		})
	}
}
