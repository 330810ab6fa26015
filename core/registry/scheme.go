package registry

import (
	"fmt"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// newScheme registers the kinds and what travels in subresources, and no more:
// whole groups of k8s.io/api would cost memory for types that nobody can use.
func newScheme(kinds []*Kind) (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	if err := metav1.AddMetaToScheme(s); err != nil {
		return nil, fmt.Errorf("register the meta types: %w", err)
	}
	versions := map[schema.GroupVersion]bool{}
	version := func(gv schema.GroupVersion) {
		if !versions[gv] {
			versions[gv] = true
			metav1.AddToGroupVersion(s, gv)
		}
	}

	version(corev1.SchemeGroupVersion)
	s.AddKnownTypes(corev1.SchemeGroupVersion,
		&corev1.Binding{}, &corev1.List{},
		&corev1.PodLogOptions{}, &corev1.PodExecOptions{}, &corev1.PodAttachOptions{},
		&corev1.PodPortForwardOptions{}, &corev1.PodProxyOptions{},
		&corev1.NodeProxyOptions{}, &corev1.ServiceProxyOptions{})
	version(policyv1.SchemeGroupVersion)
	s.AddKnownTypes(policyv1.SchemeGroupVersion, &policyv1.Eviction{})
	version(autoscalingv1.SchemeGroupVersion)
	s.AddKnownTypes(autoscalingv1.SchemeGroupVersion, &autoscalingv1.Scale{})

	for _, k := range kinds {
		version(k.GVK.GroupVersion())
		s.AddKnownTypeWithName(k.GVK, k.New())
		s.AddKnownTypeWithName(k.ListGVK(), k.NewList())
		if k.Default != nil {
			s.AddTypeDefaultingFunc(k.New(), func(obj any) {
				k.Default(obj.(runtime.Object))
			})
		}
	}
	return s, nil
}
