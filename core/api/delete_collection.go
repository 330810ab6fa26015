package api

import (
	"context"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	deleteWorkers = 8
	deletePage    = 500
)

// DeleteCollection deletes the objects that a list with the options gives, and
// returns them as they were.
func (s *Service) DeleteCollection(ctx context.Context, t Target, opts DeleteOptions, selected ListOptions) (*DocumentList, error) {
	r, err := s.resolve(ctx, t)
	if err != nil {
		return nil, err
	}
	if r.Subresource != "" || r.Name != "" {
		return nil, errMethod(r.kind.GroupResource(), "deletecollection")
	}
	sel, err := s.parseSelection(r.kind, selected.LabelSelector, selected.FieldSelector)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(ctx, r, "deletecollection", sel.fields); err != nil {
		return nil, err
	}
	if err := checkListOptions(&selected, false); err != nil {
		return nil, err
	}
	if err := checkDeleteOptions(&opts); err != nil {
		return nil, err
	}
	onePage := selected.Limit > 0
	if !onePage {
		selected.Limit = deletePage
	}
	var all *DocumentList
	for {
		page, err := s.list(ctx, r, &sel, &selected)
		if err != nil {
			return nil, err
		}
		if err := s.deleteAll(ctx, r, page, &opts); err != nil {
			return nil, err
		}
		if all == nil {
			all = page
		} else {
			all.Items = append(all.Items, page.Items...)
		}
		if onePage || page.Continue == "" {
			return all, nil
		}
		selected.Continue, selected.ResourceVersion, selected.ResourceVersionMatch = page.Continue, "", ""
		all.Continue, all.Remaining = "", nil
	}
}

func (s *Service) deleteAll(ctx context.Context, r *request, page *DocumentList, opts *DeleteOptions) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(deleteWorkers)
	for i := range page.Items {
		one := *r
		one.Namespace, one.Name = splitKey(page.Items[i].key)
		group.Go(func() error {
			if _, _, err := s.delete(ctx, &one, opts.DeepCopy()); err != nil && !apierrors.IsNotFound(err) {
				return err
			}
			return nil
		})
	}
	return group.Wait()
}
