package scheduler

import (
	"context"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/controller/stream"
)

// handler is the scheduler on one stream: everything that it knows came over
// that stream. Its methods are called by one goroutine.
type handler struct {
	name    string
	out     stream.Sender
	decider decider
	view    *Snapshot
	shadow  bool
	// revision up to which the view is.
	revision uint64
	// assumed are the pods that were given a node and not seen on it yet, by
	// key.
	assumed map[string]*assumption
	// stuck are the pods that fitted nowhere, with why.
	stuck map[string]*stuckPod
}

// assumption is a pod that is counted on its node before the stream shows it.
type assumption struct {
	pod  *Pod
	work uint64
	// bound is the revision of the binding, once the outcome told it.
	bound uint64
}

func newHandler(profile Profile, name string, out stream.Sender) *handler {
	view := NewSnapshot()
	return &handler{
		name: name, out: out, view: view, decider: decider{profile: profile, view: view},
		assumed: map[string]*assumption{}, stuck: map[string]*stuckPod{},
	}
}

func (h *handler) Start(start *pluginv1.Start) error {
	h.shadow = start.GetShadow()
	return nil
}

// Drain has nothing to wait for: every item was answered when it came.
func (h *handler) Drain(context.Context) error { return nil }

// Changes bring the snapshot up to date and wake the pods that they may help.
func (h *handler) Changes(changes *pluginv1.Changes) error {
	wake := map[string]bool{}
	for _, c := range changes.GetChanges() {
		if err := h.change(c, wake); err != nil {
			return err
		}
	}
	h.revision = changes.GetRevision()
	for key, a := range h.assumed {
		if a.bound != 0 && a.bound < h.revision {
			// Bound, and gone again before it was seen.
			h.forget(key)
		}
	}
	return h.enqueue(wake)
}

func (h *handler) change(c *pluginv1.Change, wake map[string]bool) error {
	deleted := c.GetType() == pluginv1.Change_TYPE_DELETED
	key := c.GetNamespace() + "/" + c.GetName()
	switch c.GetWatch() {
	case watchWaiting:
		if deleted {
			delete(h.view.waiting, key)
			delete(h.stuck, key)
			if h.shadow {
				h.forget(key)
			}
			return nil
		}
		pod, err := readPod(c)
		if pod == nil || err != nil {
			return err
		}
		h.view.waiting[key] = pod
	case watchPlaced:
		before := h.view.placed[key]
		if deleted {
			h.view.drop(key)
			if before != nil {
				h.room(h.view.Node(before.Node), wake)
			}
			return nil
		}
		pod, err := readPod(c)
		if pod == nil || err != nil {
			return err
		}
		delete(h.assumed, key)
		h.view.put(pod)
		if before == nil || !labels.Equals(before.Labels, pod.Labels) {
			h.neighbour(wake)
		}
	case watchNodes:
		if deleted {
			h.view.deleteNode(c.GetName())
			h.neighbour(wake)
			return nil
		}
		var node corev1.Node
		if err := stream.Decode(c.GetObject(), &node); err != nil {
			return err
		}
		if n, changed := h.view.setNode(&node); changed {
			h.room(n, wake)
		}
	case watchNamespaces:
		if deleted {
			delete(h.view.namespaces, c.GetName())
			return nil
		}
		var ns corev1.Namespace
		if err := stream.Decode(c.GetObject(), &ns); err != nil {
			return err
		}
		h.view.namespaces[ns.Name] = ns.Labels
		h.neighbour(wake)
	}
	return nil
}

// readPod returns nil for a pod whose terms can't be read, which the API
// refuses: such a pod must not stop the others.
func readPod(c *pluginv1.Change) (*Pod, error) {
	var p corev1.Pod
	if err := stream.Decode(c.GetObject(), &p); err != nil {
		return nil, err
	}
	pod, err := newPod(&p)
	if err != nil {
		slog.Error("a pod can't be scheduled", "pod", p.Namespace+"/"+p.Name, "err", err)
		return nil, nil
	}
	return pod, nil
}

// Work decides each item at once.
func (h *handler) Work(_ context.Context, items []*pluginv1.WorkItem) error {
	for _, item := range items {
		if err := h.out.Send(h.decide(item)); err != nil {
			return err
		}
	}
	return nil
}

func (h *handler) decide(item *pluginv1.WorkItem) *pluginv1.Decision {
	d := &pluginv1.Decision{WorkId: item.GetId(), Key: item.GetKey(), ObservedRevision: h.revision}
	key := item.GetKey().GetNamespace() + "/" + item.GetKey().GetName()
	pod := h.view.waiting[key]
	if pod == nil || pod.terminating || pod.Spec.SchedulerName != h.name || h.assumed[key] != nil {
		return d
	}
	if len(pod.Spec.SchedulingGates) > 0 {
		d.Reason = "waits for its scheduling gates"
		return d
	}
	v := h.decider.decide(pod)
	if v.node == nil {
		h.stuck[key] = newStuckPod(pod, &v)
		explain(d, pod, v.message())
		return d
	}
	delete(h.stuck, key)
	h.assume(key, pod, v.node.Name, item.GetId())
	bind(d, pod, &v)
	return d
}

// assume counts the pod on its node from now on.
func (h *handler) assume(key string, pod *Pod, node string, work uint64) {
	placed := *pod
	placed.Node = node
	h.view.put(&placed)
	h.assumed[key] = &assumption{pod: &placed, work: work}
}

// forget takes an assumption back.
func (h *handler) forget(key string) {
	a := h.assumed[key]
	if a == nil {
		return
	}
	delete(h.assumed, key)
	if h.view.placed[key] == a.pod {
		h.view.drop(key)
	}
}

// Outcomes keep or take back what was assumed. A binding that was refused makes
// the pod due again by itself, with backoff, since the core tells it as failed.
func (h *handler) Outcomes(outcomes []*pluginv1.Outcome) error {
	wake := map[string]bool{}
	for _, o := range outcomes {
		key := o.GetKey().GetNamespace() + "/" + o.GetKey().GetName()
		a := h.assumed[key]
		if a == nil || a.work != o.GetWorkId() {
			continue
		}
		if rev, ok := boundAt(o); ok {
			a.bound = rev
			continue
		}
		node := h.view.Node(a.pod.Node)
		h.forget(key)
		h.room(node, wake)
	}
	return h.enqueue(wake)
}

// boundAt is the revision of the binding, the first action of a decision that
// places a pod.
func boundAt(o *pluginv1.Outcome) (uint64, bool) {
	if o.GetRefused() != "" || len(o.GetResults()) == 0 {
		return 0, false
	}
	r := o.GetResults()[0]
	return r.GetRevision(), !r.GetSkipped() && r.GetCode() < 400
}
