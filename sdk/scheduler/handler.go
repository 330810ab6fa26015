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
	// failures are what was found about them.
	failures failures
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
		if a.bound != 0 && a.bound <= h.revision {
			h.takeBack(key, wake)
		}
	}
	return h.enqueue(wake)
}

func (h *handler) change(c *pluginv1.Change, wake map[string]bool) error {
	deleted := c.GetType() == pluginv1.Change_TYPE_DELETED
	switch c.GetWatch() {
	case watchWaiting:
		return h.changeWaiting(c, deleted, wake)
	case watchPlaced:
		return h.changePlaced(c, deleted, wake)
	case watchNodes:
		return h.changeNode(c, deleted, wake)
	case watchNamespaces:
		return h.changeNamespace(c, deleted, wake)
	}
	return nil
}

func (h *handler) changeWaiting(c *pluginv1.Change, deleted bool, wake map[string]bool) error {
	key := c.GetNamespace() + "/" + c.GetName()
	if deleted {
		delete(h.view.waiting, key)
		delete(h.stuck, key)
		if h.shadow {
			// Nobody will tell an outcome.
			h.takeBack(key, wake)
		}
		return nil
	}
	pod, err := readPod(c)
	if err != nil {
		return err
	}
	if a := h.assumed[key]; a != nil && a.pod.UID != pod.UID {
		h.takeBack(key, wake)
	}
	h.view.waiting[key] = pod
	return nil
}

func (h *handler) changePlaced(c *pluginv1.Change, deleted bool, wake map[string]bool) error {
	key := c.GetNamespace() + "/" + c.GetName()
	if deleted {
		delete(h.assumed, key)
		if gone := h.view.drop(key); gone != nil {
			h.left(gone, wake)
		}
		return nil
	}
	pod, err := readPod(c)
	if err != nil {
		return err
	}
	assumed := h.assumed[key] != nil
	delete(h.assumed, key)
	before := h.view.placed[key]
	h.view.put(pod)
	switch {
	case before == nil:
		h.came(pod, wake)
	case before.Node != pod.Node:
		h.left(before, wake)
		h.came(pod, wake)
	case assumed:
		// Until now it could have been taken back.
		h.came(pod, wake)
	case !sameToOthers(before, pod):
		h.left(before, wake)
		h.came(pod, wake)
	}
	return nil
}

func (h *handler) changeNode(c *pluginv1.Change, deleted bool, wake map[string]bool) error {
	if deleted {
		if h.view.deleteNode(c.GetName()) {
			h.places(wake)
		}
		return nil
	}
	var node corev1.Node
	if err := stream.Decode(c.GetObject(), &node); err != nil {
		return err
	}
	before := h.view.Node(node.Name)
	var labelsBefore labels.Set
	var taintsBefore []corev1.Taint
	if before != nil {
		labelsBefore, taintsBefore = before.Labels, before.Taints
	}
	n, changed := h.view.setNode(&node)
	if !changed {
		return nil
	}
	switch {
	case before == nil && len(n.Pods) == 0:
		h.domains(wake)
	case before == nil, !labels.Equals(labelsBefore, n.Labels), !sameTaints(taintsBefore, n.Taints):
		h.places(wake)
	}
	h.room(n, wake)
	return nil
}

func (h *handler) changeNamespace(c *pluginv1.Change, deleted bool, wake map[string]bool) error {
	if deleted {
		h.view.deleteNamespace(c.GetName())
		return nil
	}
	var ns corev1.Namespace
	if err := stream.Decode(c.GetObject(), &ns); err != nil {
		return err
	}
	if h.view.setNamespace(ns.Name, ns.Labels) {
		h.places(wake)
	}
	return nil
}

func readPod(c *pluginv1.Change) (*Pod, error) {
	var p corev1.Pod
	if err := stream.Decode(c.GetObject(), &p); err != nil {
		return nil, err
	}
	pod := newPod(&p)
	if pod.unreadable != nil {
		slog.Error("what a pod asks for can't be read", "pod", pod.Key(), "err", pod.unreadable)
	}
	return pod, nil
}

// Work decides each item at once.
func (h *handler) Work(_ context.Context, items []*pluginv1.WorkItem) error {
	wake := map[string]bool{}
	for _, item := range items {
		if err := h.out.Send(h.decide(item, wake)); err != nil {
			return err
		}
	}
	return h.enqueue(wake)
}

func (h *handler) decide(item *pluginv1.WorkItem, wake map[string]bool) *pluginv1.Decision {
	d := &pluginv1.Decision{WorkId: item.GetId(), Key: item.GetKey(), ObservedRevision: h.revision}
	key := item.GetKey().GetNamespace() + "/" + item.GetKey().GetName()
	// A key is due only when its last decision was settled and what that did was
	// shown: what is still assumed then never came to be, or is gone again.
	before := h.forget(key)
	delete(h.stuck, key)
	h.answer(d, key)
	if now := h.assumed[key]; before != nil && (now == nil || now.pod.Node != before.Node) {
		h.left(before, wake)
	}
	return d
}

// answer fills in what is decided about a pod.
func (h *handler) answer(d *pluginv1.Decision, key string) {
	pod := h.view.waiting[key]
	if pod == nil || pod.terminating || pod.Spec.SchedulerName != h.name {
		return
	}
	if len(pod.Spec.SchedulingGates) > 0 {
		d.Reason = "waits for its scheduling gates"
		return
	}
	if pod.unreadable != nil {
		explain(d, pod, pod.unreadable.Error())
		return
	}
	v := h.look(pod)
	if v.node == nil {
		h.stuck[key] = newStuckPod(pod, &v)
		explain(d, pod, v.message())
		return
	}
	h.assume(key, pod, v.node.Name, d.GetWorkId())
	bind(d, pod, &v)
}

// look looks for a node, where one just like the pod was not looked for in vain
// already. What a profile's own filters look at is not known here.
func (h *handler) look(pod *Pod) verdict {
	shape, shaped := "", len(h.decider.profile.Filters) == 0
	if shaped && len(h.stuck) > 0 {
		shape = pod.shape()
		if v, ok := h.failures.find(shape, h.view); ok {
			return v
		}
	}
	v := h.decider.decide(pod)
	if v.node == nil && shaped {
		if shape == "" {
			shape = pod.shape()
		}
		h.failures.keep(shape, v, h.view)
	}
	return v
}

// assume counts the pod on its node from now on.
func (h *handler) assume(key string, pod *Pod, node string, work uint64) {
	placed := *pod
	placed.Node = node
	h.view.put(&placed)
	h.assumed[key] = &assumption{pod: &placed, work: work}
}

// forget takes an assumption back and returns the pod as it was placed, or nil.
func (h *handler) forget(key string) *Pod {
	if h.assumed[key] == nil {
		return nil
	}
	delete(h.assumed, key)
	return h.view.drop(key)
}

// takeBack forgets an assumption and wakes the pods that had to make way for it.
func (h *handler) takeBack(key string, wake map[string]bool) {
	if pod := h.forget(key); pod != nil {
		h.left(pod, wake)
	}
}

// Outcomes keep or take back what was assumed. A binding that was refused makes
// the pod due again by itself, with backoff, since the core tells it as failed.
// In shadow nothing is applied: what was assumed stands until the stream shows
// otherwise.
func (h *handler) Outcomes(outcomes []*pluginv1.Outcome) error {
	if h.shadow {
		return nil
	}
	wake := map[string]bool{}
	for _, o := range outcomes {
		key := o.GetKey().GetNamespace() + "/" + o.GetKey().GetName()
		a := h.assumed[key]
		if a == nil || a.work != o.GetWorkId() {
			continue
		}
		if rev, ok := boundAt(o); ok && rev > h.revision {
			a.bound = rev
			continue
		}
		// Refused; or bound, and gone again before it was seen.
		h.takeBack(key, wake)
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
