package housekeeping

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pintle-io/pintle/sdk/controller"
)

var accountKind = corev1.SchemeGroupVersion.WithKind("ServiceAccount")

const defaultAccount = "default"

// accounts sees that every namespace has a default ServiceAccount.
type accounts struct{}

func accountsSpec() controller.Spec {
	return controller.Spec{Watches: []controller.Watch{
		{Object: &corev1.Namespace{}, Trigger: controller.Self, Fields: []string{"status.phase"}},
		{
			Object: &metav1.PartialObjectMetadata{}, Kind: accountKind, Trigger: controller.Mapped,
			FieldSelector: "metadata.name=" + defaultAccount,
		},
	}, MaxInFlight: 4}
}

// Map makes the namespace due whose account went.
func (accounts) Map(_ context.Context, change controller.Change, _ controller.View) []controller.Key {
	if change.New != nil {
		return nil
	}
	return []controller.Key{{Kind: namespaceKind.GroupKind(), Name: metaOf(change.Old).GetNamespace()}}
}

func (accounts) Reconcile(_ context.Context, key controller.Key, view controller.View) (controller.Decision, error) {
	var d controller.Decision
	ns, ok := controller.Get[*corev1.Namespace](view, "", key.Name)
	if !ok || ns.DeletionTimestamp != nil || ns.Status.Phase == corev1.NamespaceTerminating {
		return d, nil
	}
	if _, ok := view.Of(accountKind).Get(ns.Name, defaultAccount); !ok {
		d.Because("the namespace has no default ServiceAccount")
		d.Create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: defaultAccount}})
	}
	return d, nil
}
