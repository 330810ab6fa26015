package housekeeping

import (
	"encoding/json"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pintle-io/pintle/sdk/controller"
)

// batch is how many objects one decision deals with.
const batch = 500

// collect deletes an object whose owners are all gone or going, and takes off
// references to owners that are gone where others are there.
func (o *owners) collect(d *controller.Decision, view controller.View, obj runtime.Object, m metav1.Object) {
	refs := m.GetOwnerReferences()
	if len(refs) == 0 {
		return
	}
	solid, gone, going := 0, map[types.UID]bool{}, map[types.UID]bool{}
	for _, ref := range refs {
		switch _, owner, known := o.owner(view, m, ref); {
		case !known:
			solid++
		case owner == nil:
			gone[ref.UID] = true
		case deletesDependents(owner):
			going[ref.UID] = true
		default:
			solid++
		}
	}
	if len(gone)+len(going) == 0 {
		return
	}
	if solid > 0 {
		d.Because("it has other owners than those that are gone")
		rest := slices.DeleteFunc(slices.Clone(refs), func(r metav1.OwnerReference) bool { return gone[r.UID] || going[r.UID] })
		d.Patch(obj, types.MergePatchType, metadataPatch("ownerReferences", rest)).AtRevision()
		return
	}
	policy := metav1.DeletePropagationBackground
	switch {
	case hasFinalizer(m, metav1.FinalizerOrphanDependents):
		policy = metav1.DeletePropagationOrphan
	case hasFinalizer(m, metav1.FinalizerDeleteDependents):
		policy = metav1.DeletePropagationForeground
	case len(going) > 0 && o.hasDependents(view, m):
		// Its owner waits for it, so it waits for its own, unless they wait for
		// each other in a circle.
		if o.inCircle(view, m) {
			d.Patch(obj, types.MergePatchType, metadataPatch("ownerReferences", unblocked(refs))).AtRevision()
			return
		}
		policy = metav1.DeletePropagationForeground
	}
	d.Because("its owner is gone")
	d.Delete(obj).Propagation(policy)
}

func (o *owners) hasDependents(view controller.View, m metav1.Object) bool {
	any := false
	o.eachDependent(view, m.GetUID(), func(kindInfo, metav1.Object) { any = true })
	return any
}

// inCircle tells whether a dependent of the object is itself being deleted in
// the foreground.
func (o *owners) inCircle(view controller.View, m metav1.Object) bool {
	circle := false
	o.eachDependent(view, m.GetUID(), func(_ kindInfo, dependent metav1.Object) {
		circle = circle || deletesDependents(dependent)
	})
	return circle && slices.ContainsFunc(m.GetOwnerReferences(), blocks)
}

func unblocked(refs []metav1.OwnerReference) []metav1.OwnerReference {
	out := slices.Clone(refs)
	no := false
	for i := range out {
		out[i].BlockOwnerDeletion = &no
	}
	return out
}

// foreground lets an owner go once no dependent blocks it. The dependents are
// keys of their own and deleted as such.
func (o *owners) foreground(d *controller.Decision, view controller.View, obj runtime.Object, m metav1.Object) {
	blocking := 0
	o.eachDependent(view, m.GetUID(), func(_ kindInfo, dependent metav1.Object) {
		for _, ref := range dependent.GetOwnerReferences() {
			if ref.UID == m.GetUID() && blocks(ref) {
				blocking++
			}
		}
	})
	if blocking > 0 {
		d.Because("it waits for %d dependents to be deleted", blocking)
		return
	}
	d.Because("all dependents that blocked its deletion are gone")
	o.removeFinalizer(d, obj, m, metav1.FinalizerDeleteDependents)
}

// orphan takes the references off all dependents, then lets the owner go.
func (o *owners) orphan(d *controller.Decision, view controller.View, obj runtime.Object, m metav1.Object) {
	n := 0
	o.eachDependent(view, m.GetUID(), func(kind kindInfo, dependent metav1.Object) {
		if n++; n > batch {
			return
		}
		rest := slices.DeleteFunc(slices.Clone(dependent.GetOwnerReferences()), func(r metav1.OwnerReference) bool { return r.UID == m.GetUID() })
		held, ok := view.Of(kind.gvk).Get(dependent.GetNamespace(), dependent.GetName())
		if ok {
			d.Patch(held, types.MergePatchType, metadataPatch("ownerReferences", rest)).AtRevision()
		}
	})
	if n > 0 {
		d.Because("its %d dependents are left without it", n)
		d.GrowingBatches()
		d.Requeue(1)
		return
	}
	d.Because("no dependent refers to it any more")
	o.removeFinalizer(d, obj, m, metav1.FinalizerOrphanDependents)
}

func (o *owners) removeFinalizer(d *controller.Decision, obj runtime.Object, m metav1.Object, finalizer string) {
	rest := slices.DeleteFunc(slices.Clone(m.GetFinalizers()), func(f string) bool { return f == finalizer })
	d.Patch(obj, types.MergePatchType, metadataPatch("finalizers", rest)).AtRevision()
}

func metadataPatch(field string, value any) []byte {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{field: value}})
	if err != nil {
		panic(err) // plain data
	}
	return patch
}
