package api

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/pintle-io/pintle/core/store"
)

const (
	// maxGeneratedBase leaves room for the generated part in a name of 63
	// characters, the shortest limit among kinds.
	maxGeneratedBase   = 58
	generatedLength    = 5
	generateNameTrials = 8
)

// CreateDocument is Create.
func (s *Service) CreateDocument(ctx context.Context, t Target, obj runtime.Object, opts CreateOptions) (*Document, error) {
	r, err := s.begin(ctx, t, "create")
	if err != nil {
		return nil, err
	}
	dryRun, err := checkWriteOptions("CreateOptions", opts.DryRun, opts.FieldManager)
	if err != nil {
		return nil, err
	}
	switch {
	case r.Subresource == "":
		return s.createObject(ctx, r, obj, dryRun)
	case r.isPod() && r.Subresource == subBinding:
		return s.createBinding(ctx, r, obj, dryRun)
	case r.isPod() && r.Subresource == subEviction:
		return s.createEviction(ctx, r, obj, dryRun)
	}
	return nil, errMethod(r.kind.GroupResource(), "create")
}

// createObject stores a new object, trying other names where one was to be
// generated and the chosen one is taken.
func (s *Service) createObject(ctx context.Context, r *request, obj runtime.Object, dryRun bool) (*Document, error) {
	if err := r.checkObject(obj); err != nil {
		return nil, err
	}
	m := metaOf(obj)
	base := ""
	if m.GetName() == "" {
		base = m.GetGenerateName()
	}
	if base == "" {
		return s.create(ctx, r, obj, dryRun, nil)
	}
	for trial := 1; ; trial++ {
		candidate := obj
		if trial < generateNameTrials {
			candidate = obj.DeepCopyObject()
		}
		name := generateName(base)
		metaOf(candidate).SetName(name)
		named := *r
		named.Name = name
		doc, err := s.create(ctx, &named, candidate, dryRun, nil)
		if !apierrors.IsAlreadyExists(err) {
			return doc, err
		}
		if trial == generateNameTrials {
			return nil, apierrors.NewGenerateNameConflict(r.kind.GroupResource(), name, 1)
		}
	}
}

func generateName(base string) string {
	if len(base) > maxGeneratedBase {
		base = base[:maxGeneratedBase]
	}
	return base + rand.String(generatedLength)
}

// create stores an object that has its name. managed are its field managers.
func (s *Service) create(ctx context.Context, r *request, obj runtime.Object, dryRun bool, managed []metav1.ManagedFieldsEntry) (*Document, error) {
	k := r.kind
	m := metaOf(obj)
	if m.GetResourceVersion() != "" {
		return nil, apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	}
	m.SetCreationTimestamp(metav1.NewTime(s.clock.Now()).Rfc3339Copy())
	m.SetUID(uuid.NewUUID())
	m.SetDeletionTimestamp(nil)
	m.SetDeletionGracePeriodSeconds(nil)
	m.SetSelfLink("")
	m.SetManagedFields(managed)
	dedupOwners(ctx, m)
	if k.Default != nil {
		k.Default(obj)
	}
	r.Name = m.GetName()
	if k.Namespaced {
		gate := s.gates.of(r.Namespace)
		gate.RLock()
		defer gate.RUnlock()
	}
	adm := &Admission{Operation: Creating, Target: r.Target, Kind: k, User: r.user, Object: obj, DryRun: dryRun}
	if err := s.admit(ctx, adm); err != nil {
		return nil, err
	}
	if k.PrepareForCreate != nil {
		k.PrepareForCreate(ctx, obj)
	}
	if k.Finalizer != "" {
		addFinalizer(m, k.Finalizer)
	}
	if err := s.validateCreate(ctx, r, obj); err != nil {
		return nil, err
	}
	return s.writeNew(ctx, r, obj, dryRun)
}

func (s *Service) validateCreate(ctx context.Context, r *request, obj runtime.Object) error {
	k := r.kind
	errs := validation.ValidateObjectMetaAccessor(metaOf(obj), k.Namespaced, k.ValidateName, field.NewPath("metadata"))
	if k.Validate != nil {
		errs = append(errs, k.Validate(obj)...)
	}
	var warnings []string
	if k.Unserved != nil {
		refused, notes := k.Unserved(obj, nil)
		errs = append(errs, refused...)
		warnings = notes
	}
	if len(errs) > 0 {
		return invalid(k, metaOf(obj).GetName(), errs)
	}
	if k.Warnings != nil {
		warnings = append(warnings, k.Warnings(obj, nil)...)
	}
	addWarnings(ctx, warnings)
	return nil
}

// writeNew allocates what the object needs and writes it.
func (s *Service) writeNew(ctx context.Context, r *request, obj runtime.Object, dryRun bool) (*Document, error) {
	doc, err := s.allocate(ctx, r, obj, nil, func(obj runtime.Object, claims []string) (*Document, error) {
		value, err := s.encode(r, obj)
		if err != nil {
			return nil, err
		}
		if dryRun {
			return s.dryCreate(ctx, r, obj)
		}
		entry, err := s.store.Write(ctx, store.WriteRequest{Key: r.key(), Op: store.OpCreate, Value: value, Take: claims})
		if err != nil {
			return nil, err
		}
		return s.written(r.kind, entry, obj), nil
	})
	if err != nil {
		return nil, objectError(err, r.kind, r.Name)
	}
	return doc, nil
}

func (s *Service) dryCreate(ctx context.Context, r *request, obj runtime.Object) (*Document, error) {
	switch _, err := s.store.Get(ctx, r.key()); {
	case err == nil:
		return nil, store.ErrExists
	case !errors.Is(err, store.ErrNotFound):
		return nil, err
	}
	return virtualDocument(r.kind, obj), nil
}

// encode makes the stored form and refuses it where it is too big.
func (s *Service) encode(r *request, obj runtime.Object) ([]byte, error) {
	value, err := encodeStored(r.kind, obj)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	if len(value) > s.maxSize {
		return nil, errTooLarge(len(value), s.maxSize)
	}
	return value, nil
}

// checkObject refuses an object that does not fit the request and completes
// its namespace.
func (r *request) checkObject(obj runtime.Object) error {
	want := r.kind.GVK
	if obj == nil {
		return apierrors.NewBadRequest(fmt.Sprintf("a %s is required", want.Kind))
	}
	if !sameType(obj, r.kind) {
		return apierrors.NewBadRequest(fmt.Sprintf("the object provided is a %T, not a %s of %s", obj, want.Kind, want.GroupVersion()))
	}
	m := metaOf(obj)
	if err := r.checkNamespace(m); err != nil {
		return err
	}
	if r.Name != "" {
		switch m.GetName() {
		case r.Name:
		case "":
			m.SetName(r.Name)
		default:
			return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", m.GetName(), r.Name))
		}
	}
	return nil
}

func (r *request) checkNamespace(m metav1.Object) error {
	switch {
	case !r.kind.Namespaced:
		m.SetNamespace("")
	case m.GetNamespace() == r.Namespace:
	case m.GetNamespace() == "":
		m.SetNamespace(r.Namespace)
	default:
		return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	return nil
}
