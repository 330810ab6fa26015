package housekeeping

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pintle-io/pintle/sdk/controller"
)

// tokens deletes bootstrap tokens that ran out.
type tokens struct{}

func tokensSpec() controller.Spec {
	return controller.Spec{Watches: []controller.Watch{{
		Object: &corev1.Secret{}, Trigger: controller.Self,
		FieldSelector: "metadata.namespace=kube-system,type=" + string(corev1.SecretTypeBootstrapToken),
		Reduce:        keepExpiration,
	}}}
}

const expiration = "expiration"

// keepExpiration keeps the token's secret out of the view.
func keepExpiration(obj runtime.Object) {
	s := obj.(*corev1.Secret)
	s.Data = map[string][]byte{expiration: s.Data[expiration]}
}

func (tokens) Reconcile(_ context.Context, key controller.Key, view controller.View) (controller.Decision, error) {
	var d controller.Decision
	token, ok := controller.Get[*corev1.Secret](view, key.Namespace, key.Name)
	if !ok || token.DeletionTimestamp != nil || len(token.Data[expiration]) == 0 {
		return d, nil
	}
	ends, err := time.Parse(time.RFC3339, string(token.Data[expiration]))
	if err != nil {
		// One whose end can't be read is taken for ended, as whoever checks
		// tokens does.
		d.Because("the token's expiration can't be read")
		d.Delete(token)
		return d, nil
	}
	if left := ends.Sub(view.Now()); left > 0 {
		d.Requeue(left)
		return d, nil
	}
	d.Because("the token ran out at %s", ends.Format(time.RFC3339))
	d.Delete(token)
	return d, nil
}
