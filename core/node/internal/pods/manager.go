package pods

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/pintle-io/pintle/core/node/internal/admit"
	"github.com/pintle-io/pintle/core/node/internal/podspec"
	"github.com/pintle-io/pintle/core/node/internal/podstatus"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

type podUID = types.UID

// Manager of the pods of this node.
type Manager struct {
	o     Options
	crash *flowcontrol.Backoff
	slots chan struct{}
	wg    sync.WaitGroup
	// pruned: the network plugin has forgotten sandboxes that are gone.
	pruned  atomic.Bool
	pruning chan struct{} // a reason to try it
	// orphans: a reason to look for what belongs to no pod.
	orphans chan struct{}

	mu      sync.Mutex
	ctx     context.Context // set by Run
	workers map[podUID]*worker
	// known: every pod that the API has for this node was handed in.
	known bool
}

// New makes a Manager. The view's notify function must be Wake.
func New(o Options) *Manager {
	return &Manager{
		o:       o,
		crash:   flowcontrol.NewFakeBackOff(crashBackoff, maxCrashBackoff, o.Clock),
		slots:   make(chan struct{}, startSlots),
		pruning: make(chan struct{}, 1),
		orphans: make(chan struct{}, 1),
		workers: map[podUID]*worker{},
	}
}

// Run works until ctx ends, then waits for its goroutines. Containers are left
// alone.
func (m *Manager) Run(ctx context.Context) {
	m.mu.Lock()
	m.ctx = ctx
	for _, w := range m.workers {
		m.start(w)
	}
	m.mu.Unlock()
	unsubscribe := m.o.Plugins.Subscribe(m.pluginsChanged)
	defer unsubscribe()
	m.wg.Go(func() { m.prune(ctx) })
	<-ctx.Done()
	m.mu.Lock()
	m.ctx = nil // no worker begins any more
	m.mu.Unlock()
	m.wg.Wait()
}

func (m *Manager) start(w *worker) {
	ctx, cancel := context.WithCancel(m.ctx)
	w.ctx, w.cancel = ctx, cancel
	m.wg.Go(func() {
		defer cancel()
		w.run()
		m.mu.Lock()
		if m.workers[w.uid] == w {
			delete(m.workers, w.uid)
		}
		m.mu.Unlock()
		m.o.Status.Forget(w.uid)
		m.o.Objects.Unregister(w.uid)
	})
}

// Update takes a pod that is new or changed. The object must not be changed
// afterwards.
func (m *Manager) Update(pod *corev1.Pod) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.workers[pod.UID]
	if w == nil {
		w = newWorker(m, pod, false)
		m.workers[pod.UID] = w
		if m.ctx != nil {
			m.start(w)
		}
	}
	w.update(pod)
}

// Delete takes a pod that the API has no more.
func (m *Manager) Delete(pod *corev1.Pod) {
	m.mu.Lock()
	w := m.workers[pod.UID]
	m.mu.Unlock()
	if w != nil {
		w.setGone(pod)
	}
}

// Known says that every pod of the API was handed in: whatever else there is on
// the node is an orphan.
func (m *Manager) Known() {
	m.mu.Lock()
	m.known = true
	m.mu.Unlock()
	m.Wake("")
}

// Wake makes the worker of a pod look again; an empty UID wakes all. It does
// not block.
func (m *Manager) Wake(uid podUID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if uid != "" {
		if w := m.workers[uid]; w != nil {
			w.wake()
		} else {
			m.adopt(uid)
		}
		return
	}
	for _, w := range m.workers {
		w.wake()
	}
	kick(m.pruning)
	kick(m.orphans)
}

func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Orphans is received from when Sweep should be called before its time.
func (m *Manager) Orphans() <-chan struct{} { return m.orphans }

// ObjectsChanged says that a config map or secret that the pod refers to
// changed. It does not block.
func (m *Manager) ObjectsChanged(uid podUID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w := m.workers[uid]; w != nil {
		w.refresh.Store(true)
		w.wake()
	}
}

func (m *Manager) pluginsChanged() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.workers {
		w.remount.Store(true)
		w.wake()
	}
	kick(m.pruning)
}

// Fail ends a pod for a reason outside of it, such as an eviction.
func (m *Manager) Fail(uid podUID, f podstatus.Failure, grace time.Duration) bool {
	m.mu.Lock()
	w := m.workers[uid]
	m.mu.Unlock()
	if w == nil {
		return false
	}
	w.fail(f, &grace)
	return true
}

// Pods returns all pods of the node with their statuses as last computed.
func (m *Manager) Pods() []*corev1.Pod {
	m.mu.Lock()
	workers := make([]*worker, 0, len(m.workers))
	for _, w := range m.workers {
		workers = append(workers, w)
	}
	m.mu.Unlock()
	out := make([]*corev1.Pod, 0, len(workers))
	for _, w := range workers {
		if pod := w.snapshot(); pod != nil {
			out = append(out, pod)
		}
	}
	slices.SortFunc(out, func(a, b *corev1.Pod) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	return out
}

// Find returns the pod of that name, the newest one first where an older one is
// still ending.
func (m *Manager) Find(namespace, name string) *corev1.Pod {
	var found *corev1.Pod
	for _, p := range m.Pods() {
		if p.Namespace == namespace && p.Name == name && (found == nil || found.CreationTimestamp.Before(&p.CreationTimestamp)) {
			found = p
		}
	}
	return found
}

// admit decides whether a pod that has nothing in the runtime yet may start.
// Decisions are made one at a time.
func (m *Manager) admit(w *worker, pod *corev1.Pod) *podstatus.Failure {
	node := m.o.Node()
	m.mu.Lock()
	defer m.mu.Unlock()
	var others []*corev1.Pod
	for uid, o := range m.workers {
		if uid != w.uid && o.admitted.Load() && !o.ended.Load() {
			others = append(others, o.latest())
		}
	}
	if r := admit.Check(pod, node, others); r != nil {
		return &podstatus.Failure{Reason: r.Reason, Message: r.Message}
	}
	w.admitted.Store(true)
	return nil
}

// prune tells the network plugin, once, which sandboxes there still are, before
// any new one is attached.
func (m *Manager) prune(ctx context.Context) {
	for ctx.Err() == nil {
		if m.o.View.Listed() {
			if n, err := m.o.Plugins.Network(); err == nil {
				req := &pluginv1.PruneNetworkRequest{}
				for _, s := range m.o.View.Sandboxes() {
					req.SandboxIds = append(req.SandboxIds, s.Id)
				}
				callCtx, cancel := context.WithTimeout(ctx, callTimeout)
				res, err := n.Prune(callCtx, req)
				cancel()
				if err == nil {
					if len(res.Detached) > 0 {
						m.o.Log.Info("network attachments of sandboxes that are gone were taken back", "sandboxes", len(res.Detached))
					}
					m.pruned.Store(true)
					m.Wake("")
					return
				}
				m.o.Log.Warn("taking back stale network attachments failed, it is repeated", "error", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-m.pruning:
		case <-time.After(maxRetry / 10):
		}
	}
}

// Sweep finds what belongs to no pod: sandboxes, directories and logs. It is
// called from time to time.
func (m *Manager) Sweep() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.known || m.ctx == nil || !m.o.View.Listed() {
		return
	}
	for _, uid := range m.o.View.Pods() {
		m.adopt(uid)
	}
	dirs, err := m.o.Volumes.PodDirs()
	if err != nil {
		m.o.Log.Warn("looking for directories of pods that are gone failed", "error", err)
	}
	for _, uid := range dirs {
		m.adopt(uid)
	}
	m.sweepLogs()
}

// adopt makes a worker that takes down a pod that the API does not know. The
// caller holds the lock.
func (m *Manager) adopt(uid podUID) {
	if !m.known || m.ctx == nil || uid == "" || m.workers[uid] != nil {
		return
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: uid}}
	rt := m.o.View.Pod(uid)
	for _, s := range rt.Sandboxes {
		pod.Namespace, pod.Name = s.GetPod().GetNamespace(), s.GetPod().GetName()
	}
	for _, c := range rt.Containers {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: c.Name})
	}
	m.o.Log.Info("a pod that the API does not know is taken down", "uid", uid, "namespace", pod.Namespace, "pod", pod.Name)
	w := newWorker(m, pod, true)
	m.workers[uid] = w
	m.start(w)
}

func (m *Manager) sweepLogs() {
	entries, _ := os.ReadDir(m.o.LogDir) // absent: no logs
	for _, e := range entries {
		i := strings.LastIndexByte(e.Name(), '_')
		if i < 0 || !e.IsDir() || m.workers[types.UID(e.Name()[i+1:])] != nil {
			continue
		}
		if err := os.RemoveAll(filepath.Join(m.o.LogDir, e.Name())); err != nil {
			m.o.Log.Warn("removing the logs of a pod that is gone failed", "directory", e.Name(), "error", err)
		}
	}
}

func (m *Manager) visibleServices(pod *corev1.Pod) ([]*corev1.Service, bool) {
	all, ok := m.o.Services()
	if !ok {
		return nil, false
	}
	return podspec.VisibleServices(pod, all), true
}
