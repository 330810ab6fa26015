package controller

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// Trigger says how a change of a watched object makes keys due.
type Trigger uint8

const (
	// None: changes are seen in the view and make nothing due.
	None Trigger = iota
	// Self: the object is the key. Its kind is a key kind by that.
	Self
	// Owner: the key is the object's controlling owner, where that is of a key
	// kind.
	Owner
	// Mapped: the controller's Mapper works the keys out.
	Mapped
)

// Spec is what a controller asks for. It is data, the same in every call.
type Spec struct {
	Watches []Watch
	// Keys are kinds whose objects are keys though no watch of them has the
	// trigger Self: Map makes them due.
	Keys []schema.GroupVersionKind
	// MaxInFlight is how many keys may be worked on at once; 1 by default.
	MaxInFlight int
	// Resync makes every key due again so often though nothing changed; never
	// by default.
	Resync time.Duration
}

// Watch is one kind that the controller wants to see. Several watches of one
// kind are possible, with different selectors: the view then holds what any of
// them selects.
type Watch struct {
	// Object is a value of the Go type that the view holds, such as
	// &corev1.Pod{}; &metav1.PartialObjectMetadata{} where metadata is enough;
	// &unstructured.Unstructured{} for a kind without a Go type. It must have a
	// kind of k8s.io/api or of Pintle, or Kind must be set.
	Object runtime.Object
	// Kind of the objects where Object alone does not say it.
	Kind schema.GroupVersionKind
	// Trigger says how a change makes keys due.
	Trigger Trigger
	// LabelSelector and FieldSelector narrow the watch, in the API's syntax.
	LabelSelector, FieldSelector string
	// Fields are the top-level paths that are wanted ("spec",
	// "status.conditions"); metadata always comes. Empty for the whole object;
	// for PartialObjectMetadata nothing else is sent.
	Fields []string
	// Indexes give each object the values under which ByIndex finds it.
	Indexes map[string]func(obj runtime.Object) []string
	// Reduce, when set, changes a received object before it is put in the view,
	// to drop what the controller does not read.
	Reduce func(obj runtime.Object)
}

// wire returns the trigger of the contract.
func (t Trigger) wire() pluginv1.Trigger {
	switch t {
	case Self:
		return pluginv1.Trigger_TRIGGER_SELF
	case Owner:
		return pluginv1.Trigger_TRIGGER_OWNER
	case Mapped:
		return pluginv1.Trigger_TRIGGER_MAPPED
	case None:
		return pluginv1.Trigger_TRIGGER_NONE
	}
	return pluginv1.Trigger_TRIGGER_UNSPECIFIED
}
