package controller

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	pintlev1 "github.com/pintle-io/pintle/sdk/api/v1"
)

// newTypes returns the kinds that are known by their Go type.
func newTypes() (*runtime.Scheme, error) {
	types := runtime.NewScheme()
	builder := runtime.NewSchemeBuilder(
		appsv1.AddToScheme, autoscalingv1.AddToScheme, batchv1.AddToScheme, coordinationv1.AddToScheme,
		corev1.AddToScheme, discoveryv1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
		rbacv1.AddToScheme, schedulingv1.AddToScheme, storagev1.AddToScheme, pintlev1.AddToScheme,
	)
	if err := builder.AddToScheme(types); err != nil {
		return nil, fmt.Errorf("register API types: %w", err)
	}
	return types, nil
}

// kindOf returns the kind that an object says it is or that its Go type is.
func kindOf(types *runtime.Scheme, obj runtime.Object) (schema.GroupVersionKind, error) {
	if kind := obj.GetObjectKind().GroupVersionKind(); !kind.Empty() && kind.Version != "" {
		return kind, nil
	}
	kinds, _, err := types.ObjectKinds(obj)
	if err != nil {
		return schema.GroupVersionKind{}, fmt.Errorf("%T says no kind and its Go type is not known: set its apiVersion and kind", obj)
	}
	return kinds[0], nil
}
