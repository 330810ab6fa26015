package housekeeping

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pintle-io/pintle/core/registry"
	"github.com/pintle-io/pintle/sdk/controller"
)

var namespaceKind = corev1.SchemeGroupVersion.WithKind("Namespace")

// owners collects what nobody owns any more, and empties namespaces. It sees
// the metadata of every object of every kind at one revision, so that an owner
// which is not in its view does not exist.
type owners struct {
	kinds []kindInfo
}

type kindInfo struct {
	gvk        schema.GroupVersionKind
	namespaced bool
}

func newOwners(kinds *registry.Registry) *owners {
	o := &owners{}
	for _, k := range kinds.Kinds() {
		o.kinds = append(o.kinds, kindInfo{k.GVK, k.Namespaced})
	}
	return o
}

func (o *owners) spec() controller.Spec {
	spec := controller.Spec{MaxInFlight: 64}
	for _, k := range o.kinds {
		w := controller.Watch{
			Object: &metav1.PartialObjectMetadata{}, Kind: k.gvk, Trigger: controller.Mapped, Reduce: reduceMetadata,
		}
		if k.gvk == namespaceKind {
			w.Object, w.Reduce = &corev1.Namespace{}, nil
		}
		spec.Watches = append(spec.Watches, w)
		spec.Keys = append(spec.Keys, k.gvk)
	}
	return spec
}

// reduceMetadata drops what ownership does not depend on: the view holds every
// object of the cluster.
func reduceMetadata(obj runtime.Object) {
	m := obj.(*metav1.PartialObjectMetadata)
	m.ObjectMeta = metav1.ObjectMeta{
		Name: m.Name, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion,
		DeletionTimestamp: m.DeletionTimestamp, Finalizers: m.Finalizers, OwnerReferences: m.OwnerReferences,
	}
}

// Map returns the keys that a change may make something of: the object itself
// where it has owners or waits for dependents, and those around it.
func (o *owners) Map(_ context.Context, change controller.Change, view controller.View) []controller.Key {
	kind := o.kinds[change.Watch]
	before, after := metaOf(change.Old), metaOf(change.New)
	var keys []controller.Key
	switch {
	case after == nil || (before != nil && before.GetUID() != after.GetUID()):
		keys = append(keys, o.dependents(view, before.GetUID())...)
		keys = append(keys, o.waiting(view, before)...)
		keys = append(keys, o.terminatingNamespace(view, before)...)
		if after == nil {
			return keys
		}
	case before != nil && sameOwnership(before, after):
		// A change of something else, as nearly all are.
		return keys
	}
	if len(after.GetOwnerReferences()) > 0 || after.GetDeletionTimestamp() != nil {
		keys = append(keys, keyOf(kind.gvk, after))
	}
	if before != nil {
		keys = append(keys, o.waiting(view, before)...)
	}
	if deletesDependents(after) {
		keys = append(keys, o.dependents(view, after.GetUID())...)
	}
	return append(keys, o.terminatingNamespace(view, after)...)
}

func sameOwnership(a, b metav1.Object) bool {
	return (a.GetDeletionTimestamp() == nil) == (b.GetDeletionTimestamp() == nil) &&
		slices.Equal(a.GetFinalizers(), b.GetFinalizers()) &&
		slices.EqualFunc(a.GetOwnerReferences(), b.GetOwnerReferences(), func(x, y metav1.OwnerReference) bool {
			return x.UID == y.UID && blocks(x) == blocks(y)
		})
}

// dependents returns the keys of the objects that name an owner.
func (o *owners) dependents(view controller.View, owner types.UID) []controller.Key {
	var keys []controller.Key
	o.eachDependent(view, owner, func(kind kindInfo, m metav1.Object) {
		keys = append(keys, keyOf(kind.gvk, m))
	})
	return keys
}

func (o *owners) eachDependent(view controller.View, owner types.UID, visit func(kindInfo, metav1.Object)) {
	if owner == "" {
		return
	}
	for _, kind := range o.kinds {
		for _, m := range view.Of(kind.gvk).Owned(owner) {
			visit(kind, m)
		}
	}
}

// waiting returns the owners of an object that wait for their dependents.
func (o *owners) waiting(view controller.View, m metav1.Object) []controller.Key {
	var keys []controller.Key
	for _, ref := range m.GetOwnerReferences() {
		if kind, owner, _ := o.owner(view, m, ref); owner != nil && owner.GetDeletionTimestamp() != nil {
			keys = append(keys, keyOf(kind.gvk, owner))
		}
	}
	return keys
}

func (o *owners) terminatingNamespace(view controller.View, m metav1.Object) []controller.Key {
	if m.GetNamespace() == "" {
		return nil
	}
	if ns, ok := controller.Get[*corev1.Namespace](view, "", m.GetNamespace()); ok && ns.DeletionTimestamp != nil {
		return []controller.Key{keyOf(namespaceKind, ns)}
	}
	return nil
}

// owner finds the object that a reference means. known is false where its kind
// is not served, so that nothing can be said of it.
func (o *owners) owner(view controller.View, m metav1.Object, ref metav1.OwnerReference) (kind kindInfo, owner metav1.Object, known bool) {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return kindInfo{}, nil, false
	}
	for _, k := range o.kinds {
		if k.gvk.Group != gv.Group || k.gvk.Kind != ref.Kind {
			continue
		}
		namespace := m.GetNamespace()
		if !k.namespaced {
			namespace = ""
		} else if namespace == "" {
			// An object without a namespace can't be owned by one in a
			// namespace: nobody can tell which is meant.
			return k, nil, false
		}
		obj, ok := view.Of(k.gvk).Get(namespace, ref.Name)
		if owner := metaOf(obj); ok && owner.GetUID() == ref.UID {
			return k, owner, true
		}
		return k, nil, true
	}
	return kindInfo{}, nil, false
}

func (o *owners) Reconcile(_ context.Context, key controller.Key, view controller.View) (controller.Decision, error) {
	var d controller.Decision
	for _, kind := range o.kinds {
		if kind.gvk.GroupKind() != key.Kind {
			continue
		}
		obj, ok := view.Of(kind.gvk).Get(key.Namespace, key.Name)
		if !ok {
			return d, nil
		}
		m := metaOf(obj)
		switch {
		case m.GetDeletionTimestamp() == nil:
			o.collect(&d, view, obj, m)
		case hasFinalizer(m, metav1.FinalizerOrphanDependents):
			o.orphan(&d, view, obj, m)
		case deletesDependents(m):
			o.foreground(&d, view, obj, m)
		case kind.gvk == namespaceKind:
			return o.namespace(view, obj.(*corev1.Namespace))
		}
	}
	return d, nil
}

func metaOf(obj runtime.Object) metav1.Object {
	if obj == nil {
		return nil
	}
	return obj.(metav1.Object)
}

func keyOf(gvk schema.GroupVersionKind, m metav1.Object) controller.Key {
	return controller.Key{Kind: gvk.GroupKind(), Namespace: m.GetNamespace(), Name: m.GetName()}
}

func hasFinalizer(m metav1.Object, finalizer string) bool {
	return slices.Contains(m.GetFinalizers(), finalizer)
}

// deletesDependents tells whether an object is being deleted in the foreground.
func deletesDependents(m metav1.Object) bool {
	return m.GetDeletionTimestamp() != nil && hasFinalizer(m, metav1.FinalizerDeleteDependents)
}

func blocks(ref metav1.OwnerReference) bool {
	return ref.BlockOwnerDeletion != nil && *ref.BlockOwnerDeletion
}
