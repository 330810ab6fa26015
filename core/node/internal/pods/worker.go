package pods

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pintle-io/pintle/core/node/internal/podstatus"
	"github.com/pintle-io/pintle/core/node/internal/probes"
)

// worker of one pod.
type worker struct {
	m      *Manager
	uid    podUID
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	wakeup chan struct{} // one pending wake-up stands for all

	admitted atomic.Bool
	ended    atomic.Bool // no container will run any more
	remount  atomic.Bool
	// refresh: something that volumes or environments are made from changed.
	refresh atomic.Bool

	// What others hand in.
	mu       sync.Mutex
	pod      *corev1.Pod
	gone     bool
	orphan   bool
	failure  *podstatus.Failure
	grace    *time.Duration
	finished []finished
	last     *corev1.PodStatus

	// The worker goroutine's own.
	tasks       map[string]*task
	retry       map[string]*retry
	wakeAt      time.Time
	probes      *probes.Set
	mounted     bool
	volumes     map[string]string
	attached    string // sandbox whose network is known
	podIPs      []string
	waiting     map[string]podstatus.Waiting
	postStarted map[string]bool // containers, by ID, whose start was completed here
	starting    map[string]string
	killGrace   time.Duration
	messages    map[string]string
	startTime   time.Time
	torndown    bool
	removed     bool
	final       *corev1.PodStatus
}

type task struct {
	cancel context.CancelFunc
}

type finished struct {
	key   string
	task  *task
	apply func()
}

// retry of a task that failed.
type retry struct {
	failures int
	at       time.Time
}

func newWorker(m *Manager, pod *corev1.Pod, orphan bool) *worker {
	w := &worker{
		m: m, uid: pod.UID, pod: pod, gone: orphan, orphan: orphan,
		log:    m.o.Log.With("namespace", pod.Namespace, "pod", pod.Name, "uid", pod.UID),
		wakeup: make(chan struct{}, 1),
		tasks:  map[string]*task{}, retry: map[string]*retry{},
		waiting: map[string]podstatus.Waiting{}, postStarted: map[string]bool{},
		starting: map[string]string{}, messages: map[string]string{},
	}
	w.probes = probes.New(probes.Options{Plugins: m.o.Plugins, Events: m.o.Events, Changed: w.wake, Log: w.log})
	w.wake()
	return w
}

func (w *worker) wake() {
	select {
	case w.wakeup <- struct{}{}:
	default:
	}
}

func (w *worker) update(pod *corev1.Pod) {
	w.mu.Lock()
	if !maps.Equal(w.pod.Labels, pod.Labels) || !maps.Equal(w.pod.Annotations, pod.Annotations) {
		w.refresh.Store(true)
	}
	w.pod = pod
	gone := w.gone
	w.mu.Unlock()
	if !gone {
		w.m.o.Objects.Register(pod)
	}
	w.wake()
}

func (w *worker) setGone(pod *corev1.Pod) {
	w.mu.Lock()
	w.pod, w.gone = pod, true
	w.mu.Unlock()
	w.wake()
}

func (w *worker) fail(f podstatus.Failure, grace *time.Duration) {
	w.mu.Lock()
	if w.failure == nil {
		w.failure, w.grace = &f, grace
	}
	w.mu.Unlock()
	w.wake()
}

func (w *worker) latest() *corev1.Pod {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pod
}

// snapshot is the pod with the status that the node last computed.
func (w *worker) snapshot() *corev1.Pod {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.orphan {
		return nil
	}
	pod := *w.pod
	if w.last != nil {
		pod.Status = *w.last
	}
	return &pod
}

// run until the pod is gone or the node agent ends.
func (w *worker) run() {
	defer func() {
		for _, t := range w.tasks {
			t.cancel()
		}
		w.probes.Stop()
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-w.wakeup:
		case <-timer.C:
		}
		w.wakeAt = time.Time{}
		w.apply()
		if w.sync() {
			return
		}
		if w.wakeAt.IsZero() {
			timer.Reset(time.Hour)
		} else {
			timer.Reset(max(w.wakeAt.Sub(w.m.o.Clock.Now()), time.Millisecond))
		}
	}
}

// lookAgainAt makes sure that the worker wakes by then.
func (w *worker) lookAgainAt(t time.Time) {
	if w.wakeAt.IsZero() || t.Before(w.wakeAt) {
		w.wakeAt = t
	}
}

// apply takes over the results of tasks that ended.
func (w *worker) apply() {
	w.mu.Lock()
	list := w.finished
	w.finished = nil
	w.mu.Unlock()
	for _, f := range list {
		if w.tasks[f.key] == f.task {
			delete(w.tasks, f.key)
		}
		if f.apply != nil {
			f.apply()
		}
	}
}

// do runs a task unless one by that key is under way or is to wait after a
// failure. What fn returns is called by the worker itself.
func (w *worker) do(key string, fn func(ctx context.Context) func()) {
	if w.tasks[key] != nil {
		return
	}
	if r := w.retry[key]; r != nil && w.m.o.Clock.Now().Before(r.at) {
		w.lookAgainAt(r.at)
		return
	}
	ctx, cancel := context.WithCancel(w.ctx)
	t := &task{cancel: cancel}
	w.tasks[key] = t
	w.m.wg.Go(func() {
		defer cancel()
		apply := fn(ctx)
		w.mu.Lock()
		w.finished = append(w.finished, finished{key, t, apply})
		w.mu.Unlock()
		w.wake()
	})
}

// cancelTasks ends the tasks that keep does not name and reports how many are
// still under way.
func (w *worker) cancelTasks(keep ...string) (left int) {
next:
	for key, t := range w.tasks {
		for _, k := range keep {
			if k == key {
				continue next
			}
		}
		t.cancel()
		left++
	}
	return left
}

// failed makes the task wait before it is tried again: at least after, else
// twice as long as the time before.
func (w *worker) failed(key string, after time.Duration) {
	r := w.retry[key]
	if r == nil {
		r = &retry{}
		w.retry[key] = r
	}
	if after <= 0 {
		after = min(minRetry<<min(r.failures, 10), maxRetry)
	}
	r.failures++
	r.at = w.m.o.Clock.Now().Add(after)
}

func (w *worker) succeeded(key string) { delete(w.retry, key) }
