package loop

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/registry"
	"github.com/pintle-io/pintle/core/store"
)

// API is the part of core/api through which decisions are applied. The user
// in the context is the loop's.
type API interface {
	Get(ctx context.Context, t api.Target, opts api.GetOptions) (runtime.Object, error)
	GetDocument(ctx context.Context, t api.Target, opts api.GetOptions) (*api.Document, error)
	Create(ctx context.Context, t api.Target, obj runtime.Object, opts api.CreateOptions) (runtime.Object, error)
	Update(ctx context.Context, t api.Target, obj runtime.Object, opts api.UpdateOptions) (runtime.Object, error)
	Patch(ctx context.Context, t api.Target, pt api.PatchType, patch []byte, opts api.PatchOptions) (obj runtime.Object, created bool, err error)
	Delete(ctx context.Context, t api.Target, opts api.DeleteOptions) (obj runtime.Object, gone bool, err error)
}

// Source shows several kinds and their changes as one sequence.
type Source interface {
	// Follow begins with all objects of the kinds at one revision and goes on
	// with every later change, in revision order, until its context ends.
	Follow(ctx context.Context, kinds []*registry.Kind) (Feed, error)
}

// Feed is a sequence that Follow began.
type Feed interface {
	// Batches is closed when the feed ended; Err then says why.
	Batches() <-chan Batch
	Err() error
}

// Batch is what happened up to a revision.
type Batch struct {
	Events   []Event
	Revision uint64
	// Synced is true from the batch on that ends the initial state.
	Synced bool
}

// Event is one object as it is at a revision.
type Event struct {
	// Kind is the index into Follow's kinds.
	Kind            int
	Namespace, Name string
	Revision        uint64
	Deleted         bool
	// Object as it is; of a deleted one its last state. Shared and not to be
	// changed.
	Object runtime.Object
	// Derived keeps what is made of the event for all who follow it; nil for
	// the initial state.
	Derived *store.Derived
}
