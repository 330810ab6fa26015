package api

import (
	"context"

	"github.com/pintle-io/pintle/core/store"
)

// GetDocument reads one object. Every read is strictly serializable, so any
// resourceVersion that was reached is honoured by it.
func (s *Service) GetDocument(ctx context.Context, t Target, opts GetOptions) (*Document, error) {
	r, err := s.begin(ctx, t, "get")
	if err != nil {
		return nil, err
	}
	if err := r.needName("get"); err != nil {
		return nil, err
	}
	if err := r.checkSubresource("get"); err != nil {
		return nil, err
	}
	atLeast, err := parseRevision(opts.ResourceVersion)
	if err != nil {
		return nil, err
	}
	if atLeast != 0 {
		if err := s.reached(ctx, atLeast); err != nil {
			return nil, err
		}
	}
	entry, err := s.store.Get(ctx, r.key())
	if err != nil {
		return nil, objectError(err, r.kind, r.Name)
	}
	doc := entryDocument(r.kind, entry)
	if r.Subresource == subScale {
		return scaleDocument(doc)
	}
	return doc, nil
}

// reached fails where the store has not reached a revision.
func (s *Service) reached(ctx context.Context, rev uint64) error {
	newest, err := s.store.Revision(ctx)
	if err != nil {
		return storeError(err)
	}
	if rev > newest {
		return errFuture(rev, newest)
	}
	return nil
}

// getEntry reads the entry of a request's object.
func (s *Service) getEntry(ctx context.Context, r *request) (store.Entry, error) {
	entry, err := s.store.Get(ctx, r.key())
	if err != nil {
		return store.Entry{}, objectError(err, r.kind, r.Name)
	}
	return entry, nil
}
