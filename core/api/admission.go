package api

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pintle-io/pintle/core/auth"
	"github.com/pintle-io/pintle/core/registry"
)

// Operation is what an admitter is asked about.
type Operation string

const (
	Creating Operation = "CREATE"
	Updating Operation = "UPDATE"
	Deleting Operation = "DELETE"
)

// Admission is a write on its way to the store.
type Admission struct {
	Operation Operation
	Target    Target
	Kind      *registry.Kind
	User      auth.User
	// Object is the new state and may be changed in place; nil for a deletion.
	// For a subresource that is an object of its own (a binding, an eviction)
	// it is that one.
	Object runtime.Object
	// Old is the present state; nil for a creation.
	Old    runtime.Object
	DryRun bool
}

// Admitter may change or refuse a write after authorization and defaulting and
// before validation. An error that is no Kubernetes status becomes 403
// Forbidden.
type Admitter interface {
	Admit(ctx context.Context, a *Admission) error
}
