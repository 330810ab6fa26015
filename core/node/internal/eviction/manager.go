package eviction

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"

	"github.com/pintle-io/pintle/core/node/internal/events"
	"github.com/pintle-io/pintle/core/node/internal/podstatus"
)

const (
	checkPeriod = 10 * time.Second
	// relief is how long a pressure that is over stays reported.
	relief = 5 * time.Minute
	// evictGrace: there is no time to wait.
	evictGrace = time.Second
	reason     = "Evicted"
)

// Options of a Manager.
type Options struct {
	Thresholds Thresholds
	Measure    func() Measured
	Pods       func() []*corev1.Pod
	// Usage of all pods, by UID.
	Usage func(ctx context.Context) map[types.UID]Usage
	// Overfull says which of a pod's own limits of storage it exceeds, empty
	// for none.
	Overfull func(ctx context.Context, pod *corev1.Pod) string
	// Reclaim frees disk space without ending a pod.
	Reclaim func(ctx context.Context) error
	Fail    func(uid types.UID, f podstatus.Failure, grace time.Duration) bool
	// Changed is called when Pressure's answer changed.
	Changed func()
	Events  record.EventRecorder
	Log     *slog.Logger
}

// Manager of the node's shortages.
type Manager struct {
	o Options

	mu    sync.Mutex
	last  map[Kind]Shortage
	since map[Kind]time.Time // last seen
}

// New makes a Manager.
func New(o Options) *Manager {
	return &Manager{o: o, last: map[Kind]Shortage{}, since: map[Kind]time.Time{}}
}

// Pressure returns what the node is, or was only just, short of; empty for
// nothing.
func (m *Manager) Pressure(kinds ...Kind) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range kinds {
		if at, ok := m.since[k]; ok && time.Since(at) < relief {
			return m.last[k].Message
		}
	}
	return ""
}

// Run watches until ctx ends.
func (m *Manager) Run(ctx context.Context) {
	tick := time.NewTicker(checkPeriod)
	defer tick.Stop()
	for {
		m.Look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Look once and act.
func (m *Manager) Look(ctx context.Context) {
	m.overfull(ctx)
	shortages := Check(m.o.Measure(), m.o.Thresholds)
	m.note(shortages)
	if len(shortages) == 0 {
		return
	}
	s := shortages[0]
	m.o.Log.Warn("the node is short of a resource", "resource", s.Kind, "message", s.Message)
	if s.Kind == Disk || s.Kind == Inodes {
		if err := m.o.Reclaim(ctx); err != nil {
			m.o.Log.Warn("freeing disk space failed", "error", err)
		}
		rest := Check(m.o.Measure(), m.o.Thresholds)
		if len(rest) == 0 {
			return
		}
		s = rest[0]
	}
	if s.Kind == Process {
		return // which pod is at fault can't be told from here
	}
	usage := m.o.Usage(ctx)
	ranked := Rank(m.o.Pods(), s.Kind, func(p *corev1.Pod) Usage { return usage[p.UID] })
	for _, p := range ranked {
		if s.Kind != Memory && usage[p.UID].Disk == 0 {
			continue // ending it would free nothing
		}
		if m.evict(p, s.Message) {
			return // one at a time: its end may be enough
		}
	}
}

func (m *Manager) evict(p *corev1.Pod, message string) bool {
	if !m.o.Fail(p.UID, podstatus.Failure{Reason: reason, Message: message}, evictGrace) {
		return false
	}
	m.o.Log.Warn("a pod is evicted", "namespace", p.Namespace, "pod", p.Name, "message", message)
	m.o.Events.Event(events.Pod(p), corev1.EventTypeWarning, reason, message)
	return true
}

// overfull evicts pods that exceed limits of their own.
func (m *Manager) overfull(ctx context.Context) {
	for _, p := range m.o.Pods() {
		if p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded {
			continue
		}
		if why := m.o.Overfull(ctx, p); why != "" {
			m.evict(p, why)
		}
	}
}

func (m *Manager) note(shortages []Shortage) {
	m.mu.Lock()
	before := fmt.Sprint(m.last)
	for _, s := range shortages {
		m.last[s.Kind], m.since[s.Kind] = s, time.Now()
	}
	for k, at := range m.since {
		if time.Since(at) >= relief {
			delete(m.last, k)
			delete(m.since, k)
		}
	}
	changed := before != fmt.Sprint(m.last)
	m.mu.Unlock()
	if changed {
		m.o.Changed()
	}
}
