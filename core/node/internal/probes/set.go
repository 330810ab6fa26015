package probes

import (
	"context"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/pintle-io/pintle/core/node/internal/plugins"
	"github.com/pintle-io/pintle/core/node/internal/podspec"
)

// Kind of a probe.
type Kind string

// The kinds, as events name them.
const (
	Liveness  Kind = "Liveness"
	Readiness Kind = "Readiness"
	Startup   Kind = "Startup"
)

// Target is a running container.
type Target struct {
	ContainerID string
	IP          string
	StartedAt   time.Time
	// WasStarted and WasReady are the verdicts before the node agent itself was
	// restarted; they hold until a probe says otherwise.
	WasStarted, WasReady bool
}

// Verdict on a container.
type Verdict struct {
	Started, Ready bool
	// Failed is Liveness or Startup where that probe says that the container
	// must be restarted, else empty.
	Failed Kind
}

// Options of a Set.
type Options struct {
	Plugins plugins.Lookup
	Events  record.EventRecorder
	// Changed is called, and must not block, when a verdict changed.
	Changed func()
	// Node resolves host names and connects as the node does.
	Log *slog.Logger
}

// Set of the probes of one pod.
type Set struct {
	o  Options
	wg sync.WaitGroup

	mu    sync.Mutex
	state map[string]*state
}

type state struct {
	id      string
	cancel  context.CancelFunc
	started chan struct{} // closed when startup succeeded
	verdict Verdict
}

// New makes a Set.
func New(o Options) *Set { return &Set{o: o, state: map[string]*state{}} }

// Sync probes exactly the given containers, by name.
func (s *Set) Sync(ctx context.Context, pod *corev1.Pod, targets map[string]Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, st := range s.state {
		if t, ok := targets[name]; !ok || t.ContainerID != st.id {
			st.cancel()
			delete(s.state, name)
		}
	}
	for name, t := range targets {
		if _, ok := s.state[name]; ok {
			continue
		}
		c := podspec.FindContainer(pod, name)
		if c == nil {
			continue
		}
		s.state[name] = s.begin(ctx, pod, c, t)
	}
}

func (s *Set) begin(ctx context.Context, pod *corev1.Pod, c *corev1.Container, t Target) *state {
	ctx, cancel := context.WithCancel(ctx)
	st := &state{id: t.ContainerID, cancel: cancel, started: make(chan struct{})}
	st.verdict.Started = c.StartupProbe == nil || t.WasStarted
	if st.verdict.Started {
		close(st.started)
	}
	st.verdict.Ready = c.ReadinessProbe == nil || t.WasReady
	// Containers that were there before the node agent are not all probed at
	// the same instant.
	spread := t.WasStarted
	for _, p := range []struct {
		kind  Kind
		probe *corev1.Probe
	}{{Startup, c.StartupProbe}, {Liveness, c.LivenessProbe}, {Readiness, c.ReadinessProbe}} {
		if p.probe == nil || p.kind == Startup && st.verdict.Started {
			continue
		}
		w := &worker{set: s, state: st, kind: p.kind, probe: p.probe, pod: pod, container: c, target: t, spread: spread}
		s.wg.Go(func() { w.run(ctx) })
	}
	return st
}

// Verdict on the container of that name and ID.
func (s *Set) Verdict(name, id string) Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.state[name]
	if st == nil || st.id != id {
		return Verdict{}
	}
	return st.verdict
}

// Stop ends all probes and returns when they have ended.
func (s *Set) Stop() {
	s.mu.Lock()
	for name, st := range s.state {
		st.cancel()
		delete(s.state, name)
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// set records a verdict.
func (s *Set) set(st *state, kind Kind, ok bool) {
	s.mu.Lock()
	before := st.verdict
	switch kind {
	case Readiness:
		st.verdict.Ready = ok
	case Startup:
		if ok && !st.verdict.Started {
			st.verdict.Started = true
			close(st.started)
		} else if !ok {
			st.verdict.Failed = Startup
		}
	case Liveness:
		if !ok {
			st.verdict.Failed = Liveness
		}
	}
	changed := st.verdict != before
	s.mu.Unlock()
	if changed {
		s.o.Changed()
	}
}
