package loop_test

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pintle-io/pintle/sdk/controller"
)

func configMap(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: data}
}

// reconcileFunc is a reconciler without state.
type reconcileFunc func(context.Context, controller.Key, controller.View) (controller.Decision, error)

func (f reconcileFunc) Reconcile(ctx context.Context, k controller.Key, v controller.View) (controller.Decision, error) {
	return f(ctx, k, v)
}

// copies keeps as many Secrets as a ConfigMap's "copies" says, each owned by
// it: a replication controller in small.
func copies(_ context.Context, key controller.Key, view controller.View) (controller.Decision, error) {
	var d controller.Decision
	cm, ok := controller.Get[*corev1.ConfigMap](view, key.Namespace, key.Name)
	if !ok {
		return d, nil
	}
	have := controller.Owned[*corev1.Secret](view, cm.UID)
	var want int
	if _, err := fmt.Sscan(cm.Data["copies"], &want); err != nil {
		return d, controller.Terminal(fmt.Errorf("copies: %w", err))
	}
	d.Because("%d of %d are there", len(have), want)
	for range want - len(have) {
		d.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Namespace: cm.Namespace, GenerateName: cm.Name + "-",
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(cm, corev1.SchemeGroupVersion.WithKind("ConfigMap"))},
		}}).OnSuccess(corev1.EventTypeNormal, "Copied", "Made {name}")
	}
	for i := range len(have) - want {
		d.Delete(have[i])
	}
	d.GrowingBatches()
	return d, nil
}

func copiesSpec() controller.Spec {
	return controller.Spec{
		Watches: []controller.Watch{
			{Object: &corev1.ConfigMap{}, Trigger: controller.Self},
			{Object: &corev1.Secret{}, Trigger: controller.Owner, Fields: []string{"type"}},
		},
		MaxInFlight: 8,
	}
}
