package controller

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
)

// Reconciler decides what is to be done about one key.
//
// Reconcile is a function of the view, the key and nothing else: called twice
// with the same view it decides the same. It reads no clock but the view's,
// keeps nothing, calls nobody, and does not wait. It is told a key and never
// what changed: it compares what is with what ought to be, whatever happened
// in between and however often it is called.
//
// The view holds all watched objects as they were at one revision, and that
// includes everything the key's last decision did: a pod that was created is
// seen. The key's object may be gone from the view; what belonged to it may
// still be there.
//
// Objects of the view are shared: deep-copy before changing one.
//
// The decision is applied by the core under the controller's own permissions.
// Where the core refuses an action, the key comes again with backoff, and
// View.Failures says what was refused.
//
// An error means that the key can't be decided now: it is tried again with
// backoff, and of the decision only its events are told. Wrap it with Terminal
// where only a change of what is watched can help.
//
// Optional, on the same type: Mapper, and plugin.Configurer,
// plugin.HealthChecker and io.Closer of sdk/plugin.
type Reconciler interface {
	Reconcile(ctx context.Context, key Key, view View) (Decision, error)
}

// Mapper works out the keys that a change of a watch with the trigger Mapped
// makes due.
type Mapper interface {
	// Map is called with the view as it is after the change. It is a pure
	// function like Reconcile.
	Map(ctx context.Context, change Change, view View) []Key
}

// Change is one change of a watched object. Old is nil for a new object and
// New for one that is gone.
type Change struct {
	// Watch is the index into Spec.Watches.
	Watch    int
	Old, New runtime.Object
}

// Object returns New, or Old where the object is gone.
func (c Change) Object() runtime.Object {
	if c.New != nil {
		return c.New
	}
	return c.Old
}
