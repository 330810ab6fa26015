package api

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pintle-io/pintle/core/store"
)

// allocationTrials bounds how often other values are chosen for an object whose
// chosen ones were taken by somebody else in between.
const allocationTrials = 16

// allocator answers from the store, for the object at a key: what that holds
// itself is free to it, so that making an object which is there is answered
// with that, not with a claim that is taken.
type allocator struct {
	store store.Store
	key   string
}

func (a allocator) Holder(ctx context.Context, claim string) (string, error) {
	owner, err := a.store.Reservation(ctx, claim)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if owner == a.key {
		return "", err
	}
	return owner, err
}

func (a allocator) Held(ctx context.Context, prefix string) (map[string]string, error) {
	return a.store.Reservations(ctx, prefix)
}

// allocate fills the unique values of an object, calls write with the claims
// that it holds then, and starts over with other values where the store says
// that one is taken. Its errors are the store's and the API's.
func (s *Service) allocate(ctx context.Context, r *request, obj, old runtime.Object, write func(runtime.Object, []string) (*Document, error)) (*Document, error) {
	if r.kind.Allocate == nil {
		return write(obj, nil)
	}
	for trial := 1; ; trial++ {
		candidate := obj
		if trial < allocationTrials {
			candidate = obj.DeepCopyObject()
		}
		claims, err := r.kind.Allocate(ctx, allocator{s.store, r.key()}, candidate, old)
		if err != nil {
			return nil, internal(fmt.Errorf("allocating unique values for %s %s: %w", r.kind.Resource, r.Name, err))
		}
		doc, err := write(candidate, claims)
		var taken *store.ReservedError
		if errors.As(err, &taken) && trial < allocationTrials {
			continue
		}
		return doc, err
	}
}
