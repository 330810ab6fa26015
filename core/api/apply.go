package api

import (
	"context"
	"fmt"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/yaml"

	"github.com/pintle-io/pintle/core/registry"
)

// applyManagers makes and keeps the field manager of each kind and
// subresource. The schemas that they need are big, so they are made when the
// first apply comes.
type applyManagers struct {
	mu       sync.Mutex
	typed    managedfields.TypeConverter
	managers map[managerKey]*managedfields.FieldManager
}

type managerKey struct {
	kind        *registry.Kind
	subresource string
}

// schemaGroup tells whether client-go carries the schema of a group's kinds.
// Those of others are deduced from the objects.
func schemaGroup(group string) bool {
	switch group {
	case "", "apps", "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "autoscaling", "policy":
		return true
	}
	return false
}

func (a *applyManagers) get(s *Service, k *registry.Kind, subresource string) (*managedfields.FieldManager, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := managerKey{k, subresource}
	if m := a.managers[key]; m != nil {
		return m, nil
	}
	scheme := s.kinds.Scheme()
	var (
		m   *managedfields.FieldManager
		err error
	)
	if schemaGroup(k.GVK.Group) {
		if a.typed == nil {
			a.typed = applyconfigurations.NewTypeConverter(scheme)
		}
		m, err = managedfields.NewDefaultFieldManager(a.typed, scheme, scheme, scheme, k.GVK, k.GVK.GroupVersion(), subresource, resetFields(k, subresource))
	} else {
		m, err = managedfields.NewDefaultCRDFieldManager(managedfields.NewDeducedTypeConverter(), scheme, scheme, scheme, k.GVK, k.GVK.GroupVersion(), subresource, resetFields(k, subresource))
	}
	if err != nil {
		return nil, apierrors.NewInternalError(fmt.Errorf("making the field manager of %s: %w", k.GVK, err))
	}
	if a.managers == nil {
		a.managers = map[managerKey]*managedfields.FieldManager{}
	}
	a.managers[key] = m
	return m, nil
}

// resetFields are those that a request can't change and so never owns: status
// by way of the object, spec by way of its status.
func resetFields(k *registry.Kind, subresource string) map[fieldpath.APIVersion]fieldpath.Filter {
	if !k.Status {
		return nil
	}
	reset := subStatus
	if subresource == subStatus {
		reset = "spec"
	}
	filter := fieldpath.NewExcludeSetFilter(fieldpath.NewSet(fieldpath.MakePathOrDie(reset)))
	return map[fieldpath.APIVersion]fieldpath.Filter{fieldpath.APIVersion(k.GVK.GroupVersion().String()): filter}
}

// apply is a server-side apply patch.
func (p *patcher) apply(ctx context.Context) (doc *Document, created bool, err error) {
	r, s := p.request, p.service
	if r.Subresource == subScale {
		return nil, false, apierrors.NewBadRequest("server-side apply of a scale is not served: use a merge patch")
	}
	config := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(p.patch, &config.Object); err != nil {
		return nil, false, apierrors.NewBadRequest(fmt.Sprintf("error decoding YAML: %v", err))
	}
	if config.Object == nil {
		return nil, false, apierrors.NewBadRequest("error decoding YAML: the patch is empty")
	}
	if err := p.checkStrict(ctx); err != nil {
		return nil, false, err
	}
	manager, err := s.apply.get(s, r.kind, r.Subresource)
	if err != nil {
		return nil, false, err
	}
	force := p.options.Force != nil && *p.options.Force
	applied := func(live runtime.Object) (runtime.Object, error) {
		live.GetObjectKind().SetGroupVersionKind(r.kind.GVK)
		obj, err := manager.Apply(live, config.DeepCopy(), p.options.FieldManager, force)
		if err != nil {
			return nil, internal(err)
		}
		return obj, r.checkPatched(metaOf(obj))
	}
	m := &modification{
		manager: p.options.FieldManager, dryRun: p.dryRun(), applied: true,
		next: func(_ context.Context, old current) (runtime.Object, error) {
			return applied(old.object.DeepCopyObject())
		},
	}
	if r.Subresource == "" {
		m.create = func(ctx context.Context) (*Document, error) {
			if err := s.authorize(ctx, r, "create", nil); err != nil {
				return nil, err
			}
			obj, err := applied(r.kind.New())
			if err != nil {
				return nil, err
			}
			if metaOf(obj).GetUID() != "" {
				return nil, apierrors.NewConflict(r.kind.GroupResource(), r.Name, fmt.Errorf(
					"uid mismatch: the provided object specified uid %s, and no existing object was found", metaOf(obj).GetUID()))
			}
			return s.create(ctx, r, obj, p.dryRun(), metaOf(obj).GetManagedFields())
		}
	}
	return s.modify(ctx, r, m)
}

// checkStrict looks for unknown and doubled fields where the client wants to
// know of them.
func (p *patcher) checkStrict(ctx context.Context) error {
	if p.options.FieldValidation == metav1.FieldValidationIgnore {
		return nil
	}
	err := yaml.UnmarshalStrict(p.patch, p.request.kind.New())
	switch {
	case err == nil:
	case p.options.FieldValidation == metav1.FieldValidationStrict:
		return apierrors.NewBadRequest(fmt.Sprintf("error strict decoding patch: %v", err))
	default:
		AddWarning(ctx, err.Error())
	}
	return nil
}

// trackManagers notes in a new state who set what, for objects that were
// applied once. Others carry no managed fields, so that ordinary writes cost
// nothing.
func (s *Service) trackManagers(r *request, obj, old runtime.Object, mod *modification) (runtime.Object, error) {
	if mod.applied {
		return obj, nil
	}
	if len(metaOf(old).GetManagedFields()) == 0 {
		metaOf(obj).SetManagedFields(nil)
		return obj, nil
	}
	m, err := s.apply.get(s, r.kind, r.Subresource)
	if err != nil {
		return nil, err
	}
	obj.GetObjectKind().SetGroupVersionKind(r.kind.GVK)
	manager := mod.manager
	if manager == "" {
		manager = "unknown"
	}
	return m.UpdateNoErrors(old.DeepCopyObject(), obj, manager), nil
}

// keepManagedTimes keeps the old times of entries that changed in nothing
// else, so that a change without effect writes nothing.
func keepManagedTimes(m, oldM metav1.Object) {
	present, past := m.GetManagedFields(), oldM.GetManagedFields()
	if len(present) == 0 || len(past) == 0 {
		return
	}
	present = slices.Clone(present)
	for i := range present {
		for j := range past {
			if sameManagedFields(&present[i], &past[j]) {
				present[i].Time = past[j].Time
			}
		}
	}
	m.SetManagedFields(present)
}

func sameManagedFields(a, b *metav1.ManagedFieldsEntry) bool {
	if a.Manager != b.Manager || a.Operation != b.Operation || a.Subresource != b.Subresource || a.APIVersion != b.APIVersion {
		return false
	}
	return a.FieldsV1 != nil && b.FieldsV1 != nil && a.FieldsV1.Equal(*b.FieldsV1)
}
