package housekeeping

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pintle-io/pintle/sdk/controller"
)

// pods deletes pods that ended, oldest first, above the number that is kept.
// The one key is the namespace kube-system.
type pods struct {
	keep  int
	sweep time.Duration
}

func podsSpec() controller.Spec {
	ended := func(phase corev1.PodPhase) controller.Watch {
		return controller.Watch{
			Object: &metav1.PartialObjectMetadata{}, Kind: podKind, Trigger: controller.None,
			FieldSelector: "status.phase=" + string(phase), Reduce: reduceAge,
		}
	}
	return controller.Spec{Watches: []controller.Watch{
		{Object: &corev1.Namespace{}, Trigger: controller.Self, FieldSelector: "metadata.name=" + metav1.NamespaceSystem, Fields: []string{"metadata"}},
		ended(corev1.PodSucceeded),
		ended(corev1.PodFailed),
	}}
}

func reduceAge(obj runtime.Object) {
	m := obj.(*metav1.PartialObjectMetadata)
	m.ObjectMeta = metav1.ObjectMeta{
		Name: m.Name, Namespace: m.Namespace, UID: m.UID,
		CreationTimestamp: m.CreationTimestamp, DeletionTimestamp: m.DeletionTimestamp,
	}
}

func (p *pods) Reconcile(_ context.Context, _ controller.Key, view controller.View) (controller.Decision, error) {
	var d controller.Decision
	d.Requeue(p.sweep)
	ended := view.Of(podKind)
	surplus := ended.Len("") - p.keep
	if surplus <= 0 {
		return d, nil
	}
	list := ended.List("")
	slices.SortStableFunc(list, func(a, b metav1.Object) int {
		return a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time)
	})
	for _, m := range list[:min(surplus, batch)] {
		if obj, ok := ended.Get(m.GetNamespace(), m.GetName()); ok {
			d.Delete(obj).Grace(0)
		}
	}
	if surplus > batch {
		d.Requeue(time.Millisecond)
	}
	d.Because("%d pods that ended are more than the %d that are kept", surplus, p.keep)
	d.GrowingBatches()
	return d, nil
}
