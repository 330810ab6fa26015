package housekeeping

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pintle-io/pintle/sdk/controller"
)

// namespace deletes what is in a namespace that is being deleted, and lets the
// namespace go once nothing is left.
func (o *owners) namespace(view controller.View, ns *corev1.Namespace) (controller.Decision, error) {
	var d controller.Decision
	if !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		return d, nil
	}
	left, asked := 0, 0
	for _, kind := range o.kinds {
		if !kind.namespaced {
			continue
		}
		objects := view.Of(kind.gvk)
		if objects.Len(ns.Name) == 0 {
			continue
		}
		for _, m := range objects.List(ns.Name) {
			left++
			if m.GetDeletionTimestamp() != nil || asked == batch {
				continue
			}
			obj, ok := objects.Get(m.GetNamespace(), m.GetName())
			if !ok {
				return d, fmt.Errorf("%s %s/%s is listed but not there", kind.gvk.Kind, m.GetNamespace(), m.GetName())
			}
			d.Delete(obj).Propagation(metav1.DeletePropagationBackground)
			asked++
		}
	}
	if left > 0 {
		d.Because("%d objects are left in the namespace", left)
		d.GrowingBatches()
		return d, nil
	}
	d.Because("nothing is left in the namespace")
	finalized := ns.DeepCopy()
	finalized.Spec.Finalizers = slices.DeleteFunc(finalized.Spec.Finalizers, func(f corev1.FinalizerName) bool { return f == corev1.FinalizerKubernetes })
	d.Finalize(finalized)
	return d, nil
}
