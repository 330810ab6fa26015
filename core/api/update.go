package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/pintle-io/pintle/core/store"
)

// maxModifyTrials bounds how often a change that names no resourceVersion is
// made anew because somebody else wrote in between.
const maxModifyTrials = 100

// current is the present state of an object, which others share: neither form
// may be changed.
type current struct {
	entry  store.Entry
	object runtime.Object
}

// modification is how an object is changed.
type modification struct {
	// next returns the new state, which is taken over.
	next func(ctx context.Context, old current) (runtime.Object, error)
	// create, where not nil, makes the object that is not there.
	create func(ctx context.Context) (*Document, error)
	// once is set where next can't be called again.
	once bool
	// internal is set for changes by the server itself, which pass neither
	// admission nor the kind's strategy for updates.
	internal bool
	// applied is set where next tracked the field managers already.
	applied bool
	manager string
	dryRun  bool
}

// UpdateDocument is Update; created is true where the kind allows creation on
// update and the object was not there.
func (s *Service) UpdateDocument(ctx context.Context, t Target, obj runtime.Object, opts UpdateOptions) (doc *Document, created bool, err error) {
	r, err := s.begin(ctx, t, "update")
	if err != nil {
		return nil, false, err
	}
	if err := r.needName("update"); err != nil {
		return nil, false, err
	}
	if err := r.checkSubresource("update"); err != nil {
		return nil, false, err
	}
	dryRun, err := checkWriteOptions("UpdateOptions", opts.DryRun, opts.FieldManager)
	if err != nil {
		return nil, false, err
	}
	if r.Subresource == subScale {
		doc, err = s.updateScale(ctx, r, obj, opts.FieldManager, dryRun)
		return doc, false, err
	}
	if err := r.checkObject(obj); err != nil {
		return nil, false, err
	}
	m := modification{manager: opts.FieldManager, dryRun: dryRun, once: metaOf(obj).GetResourceVersion() != ""}
	m.next = func(context.Context, current) (runtime.Object, error) {
		if m.once {
			return obj, nil
		}
		return obj.DeepCopyObject(), nil
	}
	if r.kind.CreateOnUpdate && r.Subresource == "" {
		m.create = func(ctx context.Context) (*Document, error) {
			if err := s.authorize(ctx, r, "create", nil); err != nil {
				return nil, err
			}
			fresh := obj.DeepCopyObject()
			metaOf(fresh).SetResourceVersion("")
			return s.create(ctx, r, fresh, dryRun, nil)
		}
	}
	return s.modify(ctx, r, &m)
}

// modify reads an object, changes it and writes it, again where somebody else
// wrote in between.
func (s *Service) modify(ctx context.Context, r *request, m *modification) (doc *Document, created bool, err error) {
	for trial := 1; ; trial++ {
		entry, err := s.store.Get(ctx, r.key())
		if errors.Is(err, store.ErrNotFound) && m.create != nil {
			doc, err = m.create(ctx)
			if apierrors.IsAlreadyExists(err) && trial < maxModifyTrials {
				continue
			}
			return doc, err == nil, err
		}
		if err != nil {
			return nil, false, objectError(err, r.kind, r.Name)
		}
		doc, err = s.modifyEntry(ctx, r, entry, m)
		var conflict *store.ConflictError
		if errors.As(err, &conflict) && !m.once && trial < maxModifyTrials {
			continue
		}
		if err != nil {
			return nil, false, objectError(err, r.kind, r.Name)
		}
		return doc, false, nil
	}
}

// modifyEntry makes the change on the present state of the object. Its errors
// are the store's and the API's.
func (s *Service) modifyEntry(ctx context.Context, r *request, entry store.Entry, m *modification) (*Document, error) {
	old, err := s.decoded(r.kind, entry)
	if err != nil {
		return nil, err
	}
	obj, err := m.next(ctx, current{entry, old})
	if err != nil {
		return nil, err
	}
	if err := r.checkRevision(obj, old); err != nil {
		return nil, err
	}
	if !m.internal {
		if obj, err = s.prepareUpdate(ctx, r, obj, old, m); err != nil {
			return nil, err
		}
	}
	if emptied(obj, old) {
		return s.deleteEntry(ctx, r, entry, obj.DeepCopyObject(), m.dryRun)
	}
	if r.Subresource == subStatus || m.internal {
		return s.writeChanged(ctx, r, entry, obj, nil, nil, m.dryRun)
	}
	return s.allocate(ctx, r, obj, old, func(obj runtime.Object, claims []string) (*Document, error) {
		var held []string
		if r.kind.Claims != nil {
			held = r.kind.Claims(old)
		}
		return s.writeChanged(ctx, r, entry, obj, without(claims, held), without(held, claims), m.dryRun)
	})
}

// writeChanged writes an object where it differs from what is stored.
func (s *Service) writeChanged(ctx context.Context, r *request, entry store.Entry, obj runtime.Object, take, free []string, dryRun bool) (*Document, error) {
	value, err := s.encode(r, obj)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(value, entry.Value) {
		return s.written(r.kind, entry, obj), nil
	}
	if dryRun {
		setRevision(obj, entry.Revision)
		return virtualDocument(r.kind, obj.DeepCopyObject()), nil
	}
	written, err := s.store.Write(ctx, store.WriteRequest{
		Key: entry.Key, Op: store.OpUpdate, Value: value, IfRevision: entry.Revision, Take: take, Free: free,
	})
	if err != nil {
		return nil, err
	}
	return s.written(r.kind, written, obj), nil
}

// checkRevision enforces the preconditions that the new object itself carries.
func (r *request) checkRevision(obj, old runtime.Object) error {
	m, oldM := metaOf(obj), metaOf(old)
	if uid := m.GetUID(); uid != "" && uid != oldM.GetUID() {
		return apierrors.NewConflict(r.kind.GroupResource(), r.Name,
			fmt.Errorf("Precondition failed: UID in precondition: %s, UID in object meta: %s", uid, oldM.GetUID()))
	}
	switch m.GetResourceVersion() {
	case oldM.GetResourceVersion():
		return nil
	case "", "0":
	default:
		return apierrors.NewConflict(r.kind.GroupResource(), r.Name, errModified)
	}
	if r.kind.ConditionalUpdate {
		return apierrors.NewInvalid(schema.GroupKind{Group: r.kind.GVK.Group, Kind: r.kind.Resource}, r.Name, field.ErrorList{
			field.Invalid(field.NewPath("metadata", "resourceVersion"), 0, "must be specified for an update"),
		})
	}
	m.SetResourceVersion(oldM.GetResourceVersion())
	return nil
}

// prepareUpdate takes a new state through field managers, defaulting,
// admission, the kind's strategy and validation.
func (s *Service) prepareUpdate(ctx context.Context, r *request, obj, old runtime.Object, mod *modification) (runtime.Object, error) {
	k := r.kind
	obj, err := s.trackManagers(r, obj, old, mod)
	if err != nil {
		return nil, err
	}
	if k.Default != nil {
		k.Default(obj)
	}
	m, oldM := metaOf(obj), metaOf(old)
	m.SetGeneration(oldM.GetGeneration())
	m.SetSelfLink("")
	adm := &Admission{Operation: Updating, Target: r.Target, Kind: k, User: r.user, Object: obj, Old: old, DryRun: mod.dryRun}
	if err := s.admit(ctx, adm); err != nil {
		return nil, err
	}
	dedupOwners(ctx, m)
	managed := m.GetManagedFields()
	r.prepare(ctx, obj, old)
	m.SetManagedFields(managed)
	m.SetUID(oldM.GetUID())
	m.SetCreationTimestamp(oldM.GetCreationTimestamp())
	if t := oldM.GetDeletionTimestamp(); !t.IsZero() {
		m.SetDeletionTimestamp(t)
	}
	if g := oldM.GetDeletionGracePeriodSeconds(); g != nil && m.GetDeletionGracePeriodSeconds() == nil {
		m.SetDeletionGracePeriodSeconds(g)
	}
	if err := s.validateUpdate(ctx, r, obj, old); err != nil {
		return nil, err
	}
	keepManagedTimes(m, oldM)
	return obj, nil
}

// prepare applies the strategy of the kind, or of its subresource.
func (r *request) prepare(ctx context.Context, obj, old runtime.Object) {
	switch r.Subresource {
	case subStatus:
		r.kind.PrepareForStatusUpdate(ctx, obj, old)
	case subFinalize:
		finalizers := obj.(*corev1.Namespace).Spec.Finalizers
		old.(*corev1.Namespace).DeepCopyInto(obj.(*corev1.Namespace))
		obj.(*corev1.Namespace).Spec.Finalizers = finalizers
	default:
		if r.kind.PrepareForUpdate != nil {
			r.kind.PrepareForUpdate(ctx, obj, old)
		}
	}
}

func (s *Service) validateUpdate(ctx context.Context, r *request, obj, old runtime.Object) error {
	k := r.kind
	path := field.NewPath("metadata")
	errs := validation.ValidateObjectMetaAccessorUpdate(metaOf(obj), metaOf(old), path)
	errs = append(errs, validation.ValidateFinalizers(metaOf(obj).GetFinalizers(), path.Child("finalizers"))...)
	var warnings []string
	switch r.Subresource {
	case subStatus:
		if k.ValidateStatusUpdate != nil {
			errs = append(errs, k.ValidateStatusUpdate(obj, old)...)
		}
	case subFinalize:
		errs = append(errs, k.Validate(obj)...)
	default:
		if k.Validate != nil {
			errs = append(errs, k.Validate(obj)...)
		}
		if k.ValidateUpdate != nil {
			errs = append(errs, k.ValidateUpdate(obj, old)...)
		}
		if k.Unserved != nil {
			refused, notes := k.Unserved(obj, old)
			errs = append(errs, refused...)
			warnings = notes
		}
		if len(errs) == 0 && k.Warnings != nil {
			warnings = append(warnings, k.Warnings(obj, old)...)
		}
	}
	if len(errs) > 0 {
		return invalid(k, metaOf(obj).GetName(), errs)
	}
	addWarnings(ctx, warnings)
	return nil
}

// emptied tells whether the change takes the last finalizer off an object
// whose deletion waits for nothing else.
func emptied(obj, old runtime.Object) bool {
	m, oldM := metaOf(obj), metaOf(old)
	grace := oldM.GetDeletionGracePeriodSeconds()
	return oldM.GetDeletionTimestamp() != nil && grace != nil && *grace == 0 && !held(obj, m)
}

// held tells whether finalizers keep an object.
func held(obj runtime.Object, m metav1.Object) bool {
	if ns, ok := obj.(*corev1.Namespace); ok && len(ns.Spec.Finalizers) > 0 {
		return true
	}
	return len(m.GetFinalizers()) > 0
}

// without returns what is in list and not in other.
func without(list, other []string) []string {
	var rest []string
	for _, s := range list {
		if !slices.Contains(other, s) {
			rest = append(rest, s)
		}
	}
	return rest
}
