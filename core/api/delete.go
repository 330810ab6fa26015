package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/core/store"
)

// DeleteDocument is Delete.
func (s *Service) DeleteDocument(ctx context.Context, t Target, opts DeleteOptions) (doc *Document, gone bool, err error) {
	r, err := s.begin(ctx, t, "delete")
	if err != nil {
		return nil, false, err
	}
	if err := r.needName("delete"); err != nil {
		return nil, false, err
	}
	if r.Subresource != "" {
		return nil, false, errMethod(r.kind.GroupResource(), "delete")
	}
	if err := checkDeleteOptions(&opts); err != nil {
		return nil, false, err
	}
	return s.delete(ctx, r, &opts)
}

func checkDeleteOptions(opts *DeleteOptions) error {
	if errs := validation.ValidateDeleteOptions(opts); len(errs) > 0 {
		return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "DeleteOptions"}, "", errs)
	}
	return nil
}

// delete is called after authorization.
func (s *Service) delete(ctx context.Context, r *request, opts *DeleteOptions) (doc *Document, gone bool, err error) {
	for trial := 1; ; trial++ {
		entry, err := s.getEntry(ctx, r)
		if err != nil {
			return nil, false, err
		}
		doc, gone, err = s.deleteOnce(ctx, r, entry, opts)
		var conflict *store.ConflictError
		if errors.As(err, &conflict) && trial < maxModifyTrials {
			continue
		}
		if err != nil {
			return nil, false, objectError(err, r.kind, r.Name)
		}
		return doc, gone, nil
	}
}

// deleteOnce follows the deletion of Kubernetes' generic registry on the
// present state of an object.
func (s *Service) deleteOnce(ctx context.Context, r *request, entry store.Entry, opts *DeleteOptions) (doc *Document, gone bool, err error) {
	present, err := s.decoded(r.kind, entry)
	if err != nil {
		return nil, false, err
	}
	obj := present.DeepCopyObject()
	m := metaOf(obj)
	if err := r.checkPreconditions(m, opts.Preconditions); err != nil {
		return nil, false, err
	}
	dryRun := len(opts.DryRun) > 0
	adm := &Admission{Operation: Deleting, Target: r.Target, Kind: r.kind, User: r.user, Old: present, DryRun: dryRun}
	if err := s.admit(ctx, adm); err != nil {
		return nil, false, err
	}
	now := s.clock.Now()
	grace, graceful, pending := r.gracefully(obj, opts.GracePeriodSeconds, now)
	if pending {
		return s.written(r.kind, entry, obj), false, nil
	}
	m.SetFinalizers(collectionFinalizers(m.GetFinalizers(), opts))
	waits := held(obj, m)
	switch {
	case waits && !graceful:
		markDeleting(obj, m, now)
	case !waits && (!graceful || grace == 0):
		doc, err := s.deleteEntry(ctx, r, entry, obj, dryRun)
		return doc, err == nil, err
	}
	if r.isNamespace() {
		gate := s.gates.of(r.Name)
		gate.Lock()
		defer gate.Unlock()
	}
	doc, err = s.writeChanged(ctx, r, entry, obj, nil, nil, dryRun)
	return doc, false, err
}

func (r *request) checkPreconditions(m metav1.Object, p *metav1.Preconditions) error {
	if p == nil {
		return nil
	}
	if p.UID != nil && *p.UID != m.GetUID() {
		return apierrors.NewConflict(r.kind.GroupResource(), r.Name, fmt.Errorf(
			"the UID in the precondition (%s) does not match the UID in record (%s). The object might have been deleted and then recreated", *p.UID, m.GetUID()))
	}
	if p.ResourceVersion != nil && *p.ResourceVersion != m.GetResourceVersion() {
		return apierrors.NewConflict(r.kind.GroupResource(), r.Name, fmt.Errorf(
			"the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record (%s). The object might have been modified", *p.ResourceVersion, m.GetResourceVersion()))
	}
	return nil
}

// gracefully marks an object whose kind is deleted gracefully. pending is true
// where its deletion is under way already and this request does not shorten
// it.
func (r *request) gracefully(obj runtime.Object, asked *int64, now time.Time) (grace int64, graceful, pending bool) {
	if r.kind.GracePeriod == nil {
		return 0, false, false
	}
	if asked != nil && *asked < 0 {
		one := int64(1)
		asked = &one
	}
	m := metaOf(obj)
	if m.GetDeletionTimestamp() != nil {
		return shorten(m, asked, now)
	}
	grace, graceful = r.kind.GracePeriod(obj, asked)
	if !graceful {
		return 0, false, false
	}
	end := metav1.NewTime(now.Add(time.Duration(grace) * time.Second)).Rfc3339Copy()
	m.SetDeletionTimestamp(&end)
	m.SetDeletionGracePeriodSeconds(&grace)
	raiseGeneration(m)
	return grace, true, false
}

// shorten brings a deletion that is under way nearer.
func shorten(m metav1.Object, asked *int64, now time.Time) (grace int64, graceful, pending bool) {
	present := m.GetDeletionGracePeriodSeconds()
	switch {
	case present == nil || *present == 0:
		return 0, false, false
	case asked == nil || *asked >= *present:
		return 0, false, true
	}
	grace = *asked
	end := m.GetDeletionTimestamp().Add(time.Duration(grace-*present) * time.Second)
	if end.Before(now) {
		end = now
		if grace != 0 {
			// The period is over, but the one who completes it is still asked to.
			grace = 1
		}
	}
	at := metav1.NewTime(end).Rfc3339Copy()
	m.SetDeletionTimestamp(&at)
	m.SetDeletionGracePeriodSeconds(&grace)
	return grace, true, false
}

// markDeleting marks an object that waits for its finalizers only.
func markDeleting(obj runtime.Object, m metav1.Object, now time.Time) {
	if m.GetDeletionTimestamp() == nil {
		raiseGeneration(m)
	}
	if t := m.GetDeletionTimestamp(); t == nil || t.After(now) {
		at := metav1.NewTime(now).Rfc3339Copy()
		m.SetDeletionTimestamp(&at)
	}
	zero := int64(0)
	m.SetDeletionGracePeriodSeconds(&zero)
	if ns, ok := obj.(*corev1.Namespace); ok {
		ns.Status.Phase = corev1.NamespaceTerminating
	}
}

func raiseGeneration(m metav1.Object) {
	if g := m.GetGeneration(); g > 0 {
		m.SetGeneration(g + 1)
	}
}

// collectionFinalizers adds or takes off the finalizers by which the garbage
// collector is told what becomes of dependents.
func collectionFinalizers(present []string, opts *DeleteOptions) []string {
	orphan := slices.Contains(present, metav1.FinalizerOrphanDependents)
	foreground := !orphan && slices.Contains(present, metav1.FinalizerDeleteDependents)
	switch {
	case opts.OrphanDependents != nil:
		orphan, foreground = *opts.OrphanDependents, false
	case opts.PropagationPolicy != nil:
		orphan = *opts.PropagationPolicy == metav1.DeletePropagationOrphan
		foreground = *opts.PropagationPolicy == metav1.DeletePropagationForeground
	}
	if orphan == slices.Contains(present, metav1.FinalizerOrphanDependents) &&
		foreground == slices.Contains(present, metav1.FinalizerDeleteDependents) {
		return present
	}
	kept := make([]string, 0, len(present)+1)
	for _, f := range present {
		if f != metav1.FinalizerOrphanDependents && f != metav1.FinalizerDeleteDependents {
			kept = append(kept, f)
		}
	}
	if orphan {
		kept = append(kept, metav1.FinalizerOrphanDependents)
	}
	if foreground {
		kept = append(kept, metav1.FinalizerDeleteDependents)
	}
	return kept
}

// deleteEntry takes an object out of the store. last is its last state, which
// goes to the caller.
func (s *Service) deleteEntry(ctx context.Context, r *request, entry store.Entry, last runtime.Object, dryRun bool) (*Document, error) {
	if dryRun {
		setRevision(last, entry.Revision)
		return virtualDocument(r.kind, last), nil
	}
	deleted, err := s.store.Write(ctx, store.WriteRequest{Key: entry.Key, Op: store.OpDelete, IfRevision: entry.Revision})
	if err != nil {
		return nil, err
	}
	s.cache.drop(entry.Key)
	last.GetObjectKind().SetGroupVersionKind(r.kind.GVK)
	setRevision(last, deleted.Revision)
	return virtualDocument(r.kind, last), nil
}
