package api

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	// For a binding or an eviction it is that object.
	Object runtime.Object
	// Old is the present state, which others share and which must not be changed;
	// nil for a creation.
	Old    runtime.Object
	DryRun bool
}

// Admitter may change or refuse a write after authorization and defaulting and
// before validation. An error that is no Kubernetes status becomes 403
// Forbidden.
type Admitter interface {
	Admit(ctx context.Context, a *Admission) error
}

func (s *Service) admit(ctx context.Context, a *Admission) error {
	for _, admitter := range s.admission {
		if err := admitter.Admit(ctx, a); err != nil {
			var status apierrors.APIStatus
			if errors.As(err, &status) {
				return err
			}
			return apierrors.NewForbidden(a.Kind.GroupResource(), a.Target.Name, err)
		}
	}
	return nil
}

// builtinAdmission are the admitters that every server has, in order.
func builtinAdmission(s *Service) []Admitter {
	return []Admitter{
		&namespaceLifecycle{store: s.store},
		podDefaults{},
		nodeRestriction{},
	}
}
