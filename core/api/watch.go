package api

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/pintle-io/pintle/core/registry"
	"github.com/pintle-io/pintle/core/store"
)

// Event is one change as a watcher sees it.
type Event struct {
	// Type as the watcher sees it: an object that begins to match the
	// watcher's selectors is ADDED, one that no longer does is DELETED.
	Type watch.EventType
	// Revision of the change. A bookmark says that everything up to its
	// revision was delivered.
	Revision uint64
	// Document is the object after the change; of a deleted one its last state
	// with the revision of the deletion. nil for bookmarks and errors. It is
	// shared by all watchers and must not be changed.
	Document *Document
	// Target is the index of the watched target that the object belongs to.
	Target int
	// InitialEventsEnd marks the bookmark that ends the initial events.
	InitialEventsEnd bool
	// Status is the error of an ERROR event, which is always the last.
	Status error
	// Raw is the store's event, shared by all watchers; nil for initial events,
	// bookmarks and errors. Raw.Derived keeps what is costly to make of it.
	Raw *store.Event
}

// Object decodes the event's object, once for all watchers. It is shared and
// must not be changed.
func (e *Event) Object() (runtime.Object, error) { return e.Document.Object() }

// Kind of the event's object.
func (e *Event) Kind() *registry.Kind { return e.Document.Kind() }

// Watch is a running watch.
type Watch struct {
	events chan []Event
	stop   func()
	err    error // written before events is closed
}

// Events delivers batches in revision order, never empty ones. It is closed
// when the watch ended: after an ERROR event, the timeout, or Stop.
func (w *Watch) Events() <-chan []Event { return w.events }

// Err says why a watch ended once Events is closed; nil where it was stopped
// or timed out. It is the error that the last event showed.
func (w *Watch) Err() error { return w.err }

// Stop ends the watch. It may be called twice.
func (w *Watch) Stop() { w.stop() }
