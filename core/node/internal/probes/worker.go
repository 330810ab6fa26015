package probes

import (
	"context"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pintle-io/pintle/core/node/internal/events"
)

// worker makes one probe of one container, again and again.
type worker struct {
	set       *Set
	state     *state
	kind      Kind
	probe     *corev1.Probe
	pod       *corev1.Pod
	container *corev1.Container
	target    Target
	spread    bool
}

func (w *worker) run(ctx context.Context) {
	if w.kind != Startup {
		select {
		case <-ctx.Done():
			return
		case <-w.state.started:
		}
	}
	period := seconds(w.probe.PeriodSeconds, 10)
	wait := time.Until(w.target.StartedAt.Add(time.Duration(w.probe.InitialDelaySeconds) * time.Second))
	if w.spread {
		wait = max(wait, rand.N(period))
	}
	counter := newCounter(w.kind, w.probe)
	for sleep(ctx, wait) {
		wait = period
		result, output := w.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if result == unknown {
			continue
		}
		if result == failure {
			w.set.o.Events.Eventf(events.Container(w.pod, w.container.Name), corev1.EventTypeWarning, "Unhealthy",
				"%s probe failed: %s", w.kind, output)
		}
		verdict, decided := counter.add(result == success)
		if !decided {
			continue
		}
		w.set.set(w.state, w.kind, verdict)
		if w.kind == Startup || w.kind == Liveness && !verdict {
			// Startup is over, or the container is going to be restarted: the
			// next one gets a probe of its own.
			return
		}
	}
}

func (w *worker) once(ctx context.Context) (outcome, string) {
	ctx, cancel := context.WithTimeout(ctx, seconds(w.probe.TimeoutSeconds, 1))
	defer cancel()
	return w.set.check(ctx, w.probe, w.container, w.target)
}

func seconds(n int32, otherwise time.Duration) time.Duration {
	if n <= 0 {
		return otherwise * time.Second
	}
	return time.Duration(n) * time.Second
}

// sleep reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// counter turns results into verdicts.
type counter struct {
	failures, successes int
	last                bool
	run                 int
}

func newCounter(kind Kind, p *corev1.Probe) *counter {
	c := &counter{failures: int(p.FailureThreshold), successes: int(p.SuccessThreshold)}
	if c.failures <= 0 {
		c.failures = 3
	}
	if c.successes <= 0 || kind != Readiness {
		c.successes = 1
	}
	return c
}

// add counts a result; decided says that the verdict is now ok.
func (c *counter) add(ok bool) (verdict, decided bool) {
	if c.run > 0 && c.last == ok {
		c.run++
	} else {
		c.last, c.run = ok, 1
	}
	if ok {
		return true, c.run >= c.successes
	}
	return false, c.run >= c.failures
}
