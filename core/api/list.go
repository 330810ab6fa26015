package api

import (
	"context"
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pintle-io/pintle/core/store"
)

// scanPage is how many entries are read at a time where most of them may be
// left out by a selector.
const scanPage = 500

// ListDocuments reads a collection, or a page of it, from one snapshot.
func (s *Service) ListDocuments(ctx context.Context, t Target, opts ListOptions) (*DocumentList, error) {
	r, err := s.resolve(ctx, t)
	if err != nil {
		return nil, err
	}
	if r.Subresource != "" {
		return nil, errMethod(r.kind.GroupResource(), "list")
	}
	sel, err := s.parseSelection(r.kind, opts.LabelSelector, opts.FieldSelector)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(ctx, r, "list", sel.fields); err != nil {
		return nil, err
	}
	if err := checkListOptions(&opts, false); err != nil {
		return nil, err
	}
	return s.list(ctx, r, &sel, &opts)
}

// list reads a page. It is called after authorization.
func (s *Service) list(ctx context.Context, r *request, sel *selection, opts *ListOptions) (*DocumentList, error) {
	sc, ok := scopeOf(r, sel)
	req := store.ListRequest{Prefix: sc.prefix}
	base := kindPrefix(r.kind)
	if opts.Continue != "" {
		if opts.ResourceVersion != "" && opts.ResourceVersion != "0" {
			return nil, apierrors.NewBadRequest("specifying resource version is not allowed when using continue")
		}
		c, err := parseContinuation(opts.Continue)
		if err != nil {
			return nil, err
		}
		req.After = base + c.Start
		if !strings.HasPrefix(req.After, sc.prefix) {
			return nil, apierrors.NewBadRequest("continue key is not valid: it belongs to another list")
		}
		if c.Revision > 0 {
			req.Revision = uint64(c.Revision)
		}
	} else {
		rev, err := s.listRevision(ctx, opts)
		if err != nil {
			return nil, err
		}
		req.Revision = rev
	}
	if !ok {
		req.Prefix = sc.prefix
		rev := req.Revision
		if rev == 0 {
			newest, err := s.Revision(ctx)
			if err != nil {
				return nil, err
			}
			rev = newest
		}
		return &DocumentList{Revision: rev}, nil
	}

	list := &DocumentList{}
	limit := int(min(opts.Limit, 1<<30))
	for {
		req.Limit = limit
		if !sel.everything() || limit > 0 {
			req.Limit = pageSize(limit, len(list.Items), sel.everything())
		}
		page, err := s.store.List(ctx, req)
		if err != nil {
			return nil, listError(err, req, base)
		}
		req.Revision = page.Revision
		list.Revision = page.Revision
		if list.Items == nil && sel.everything() {
			list.Items = make([]Document, 0, len(page.Entries))
		}
		for i := range page.Entries {
			e := &page.Entries[i]
			if !sc.contains(e.Key) {
				continue
			}
			list.Items = append(list.Items, Document{kind: r.kind, stored: e.Value, revision: e.Revision, key: e.Key})
			if !sel.everything() {
				last := len(list.Items) - 1
				match, err := sel.matches(&list.Items[last])
				if err != nil {
					return nil, err
				}
				if !match {
					list.Items = list.Items[:last]
					continue
				}
			}
			if limit > 0 && len(list.Items) == limit {
				if i+1 < len(page.Entries) || page.More {
					list.Continue = continuation{Revision: tokenRevision(page.Revision), Start: strings.TrimPrefix(e.Key, base)}.encode()
					if sel.everything() && page.Remaining >= 0 {
						remaining := page.Remaining + int64(len(page.Entries)-i-1)
						list.Remaining = &remaining
					}
				}
				return list, nil
			}
		}
		if !page.More || len(page.Entries) == 0 {
			return list, nil
		}
		req.After = page.Entries[len(page.Entries)-1].Key
	}
}

// pageSize is how many entries to read next.
func pageSize(limit, have int, everything bool) int {
	if everything {
		return limit - have
	}
	return scanPage
}

// listRevision says which snapshot a list without a continue token reads; 0
// for the newest.
func (s *Service) listRevision(ctx context.Context, opts *ListOptions) (uint64, error) {
	rev, err := parseRevision(opts.ResourceVersion)
	if err != nil || rev == 0 {
		return 0, err
	}
	exact := opts.ResourceVersionMatch == metav1.ResourceVersionMatchExact ||
		opts.ResourceVersionMatch == "" && opts.Limit > 0
	if exact {
		return rev, nil
	}
	return 0, s.reached(ctx, rev)
}

// listError answers a snapshot that is gone; for a continued list with a token
// that goes on in the newest one, as Kubernetes does.
func listError(err error, req store.ListRequest, base string) error {
	var compacted *store.CompactedError
	if !errors.As(err, &compacted) {
		return storeError(err)
	}
	if req.After == "" {
		return apierrors.NewResourceExpired("The resourceVersion for the provided list is too old.")
	}
	expired := apierrors.NewResourceExpired("The provided continue parameter is too old to display a consistent list result. " +
		"You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. " +
		"Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first " +
		"chunk was returned and now may show up in the list.")
	expired.ErrStatus.ListMeta.Continue = continuation{Revision: -1, Start: strings.TrimPrefix(req.After, base)}.encode()
	return expired
}
