package controller

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// Decision is what a Reconciler wants done about a key. The zero value wants
// nothing. Actions are applied in turn and the first that fails ends the rest,
// unless GrowingBatches was called.
type Decision struct {
	// Reason says why, in words for an operator.
	Reason string
	// RequeueAfter makes the key due again after this time though nothing
	// changed; 0 for never.
	RequeueAfter time.Duration

	actions []*Action
	guards  []runtime.Object
	growing bool
}

// Because sets the reason.
func (d *Decision) Because(format string, args ...any) { d.Reason = fmt.Sprintf(format, args...) }

// Requeue makes the key due after a time, or sooner where that was asked for
// already.
func (d *Decision) Requeue(after time.Duration) {
	if after > 0 && (d.RequeueAfter == 0 || after < d.RequeueAfter) {
		d.RequeueAfter = after
	}
}

// GrowingBatches says that the actions don't depend on each other: they are
// applied in batches of 1, 2, 4 and so on, those of a batch at the same time,
// and a batch with a failure is the last.
func (d *Decision) GrowingBatches() { d.growing = true }

// Guard makes the whole decision depend on the object being there, with this
// uid, and not being deleted, at the time when the decision is applied.
func (d *Decision) Guard(obj runtime.Object) { d.guards = append(d.guards, obj) }

// Create makes an object. metadata.generateName is honoured.
func (d *Decision) Create(obj runtime.Object) *Action {
	return d.add(&Action{verb: verbCreate, object: obj})
}

// Update replaces an object, provided that it is at the revision which obj
// says.
func (d *Decision) Update(obj runtime.Object) *Action {
	return d.add(&Action{verb: verbUpdate, object: obj})
}

// UpdateStatus replaces the status of an object, provided that it is at the
// revision which obj says.
func (d *Decision) UpdateStatus(obj runtime.Object) *Action {
	return d.add(&Action{verb: verbUpdate, object: obj, subresource: "status"})
}

// Finalize replaces the finalizers of a Namespace's spec.
func (d *Decision) Finalize(obj runtime.Object) *Action {
	return d.add(&Action{verb: verbUpdate, object: obj, subresource: "finalize"})
}

// Patch changes an object, provided that it still has the uid of obj.
func (d *Decision) Patch(obj runtime.Object, kind types.PatchType, patch []byte) *Action {
	return d.add(&Action{verb: verbPatch, object: obj, patchType: kind, patch: patch})
}

// PatchStatus changes the status of an object, provided that it still has the
// uid of obj.
func (d *Decision) PatchStatus(obj runtime.Object, kind types.PatchType, patch []byte) *Action {
	return d.add(&Action{verb: verbPatch, object: obj, patchType: kind, patch: patch, subresource: "status"})
}

// Delete deletes an object, provided that it still has the uid of obj. One
// that is gone already is no failure.
func (d *Decision) Delete(obj runtime.Object) *Action {
	return d.add(&Action{verb: verbDelete, object: obj})
}

// Bind gives a pod its node, provided that it still has the uid of pod.
func (d *Decision) Bind(pod *corev1.Pod, node string) *Action {
	return d.add(&Action{verb: verbBind, object: pod, node: node})
}

// Evict asks a pod to leave within its disruption budget.
func (d *Decision) Evict(pod *corev1.Pod) *Action {
	return d.add(&Action{verb: verbEvict, object: pod})
}

// Event tells people about an object; nil for the key's.
func (d *Decision) Event(about runtime.Object, eventType, reason, format string, args ...any) *Action {
	return d.add(&Action{verb: verbEvent, object: about, event: &told{eventType, reason, fmt.Sprintf(format, args...)}})
}

// Empty tells whether the decision has no actions.
func (d *Decision) Empty() bool { return len(d.actions) == 0 }

// Actions returns what was asked for, for tests.
func (d *Decision) Actions() []*Action { return d.actions }

func (d *Decision) add(a *Action) *Action {
	d.actions = append(d.actions, a)
	return a
}

// Action is one thing that a Decision wants done.
type Action struct {
	verb        verb
	object      runtime.Object
	subresource string
	patchType   types.PatchType
	patch       []byte
	node        string
	grace       *int64
	propagation metav1.DeletionPropagation
	atRevision  bool
	event       *told
	onSuccess   *told
	onFailure   *told
}

type verb string

const (
	verbCreate verb = "create"
	verbUpdate verb = "update"
	verbPatch  verb = "patch"
	verbDelete verb = "delete"
	verbBind   verb = "bind"
	verbEvict  verb = "evict"
	verbEvent  verb = "event"
)

// told is an event to be written.
type told struct{ eventType, reason, message string }

// OnSuccess tells about the key's object when the action was applied. {name} in
// the message stands for the name of the object that the action left.
func (a *Action) OnSuccess(eventType, reason, message string) *Action {
	a.onSuccess = &told{eventType, reason, message}
	return a
}

// OnFailure tells about the key's object when the API refused the action.
// {error} in the message stands for its answer.
func (a *Action) OnFailure(eventType, reason, message string) *Action {
	a.onFailure = &told{eventType, reason, message}
	return a
}

// Grace sets the seconds that a deleted or evicted pod gets to end.
func (a *Action) Grace(seconds int64) *Action {
	a.grace = &seconds
	return a
}

// Propagation says what a deletion does to the objects that this one owns.
func (a *Action) Propagation(policy metav1.DeletionPropagation) *Action {
	a.propagation = policy
	return a
}

// AtRevision makes a patch or deletion depend on the object being at the
// revision that it has in the view.
func (a *Action) AtRevision() *Action {
	a.atRevision = true
	return a
}

// Verb of the action: create, update, patch, delete, bind, evict, event.
func (a *Action) Verb() string { return string(a.verb) }

// Object that the action is about; nil for an event about the key's.
func (a *Action) Object() runtime.Object { return a.object }

// Subresource of an update or patch.
func (a *Action) Subresource() string { return a.subresource }

// PatchBytes returns the patch of a patch.
func (a *Action) PatchBytes() []byte { return a.patch }

// Node of a bind.
func (a *Action) Node() string { return a.node }

// EventText returns type, reason and message of an event.
func (a *Action) EventText() (eventType, reason, message string) {
	if a.event == nil {
		return "", "", ""
	}
	return a.event.eventType, a.event.reason, a.event.message
}
