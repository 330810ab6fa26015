package registry_test

import (
	"testing"

	"github.com/pintle-io/pintle/core/registry"
	corev1 "k8s.io/api/core/v1"
)

// What a pod costs on its way through the registry, without store and codec.
func BenchmarkPodCreate(b *testing.B) {
	r := builtin(b, registry.Options{})
	obj, k := decode(b, r, podManifest("image: i\nports: [{containerPort: 80}]\nresources: {requests: {cpu: 100m, memory: 64Mi}}\nlivenessProbe: {httpGet: {port: 80}}\nenv: [{name: A, value: b}]", "volumes: [{name: v, configMap: {name: c}}]\ntolerations: [{key: a, operator: Exists}]"))
	b.ReportAllocs()
	for b.Loop() {
		pod := obj.(*corev1.Pod)
		k.Default(pod)
		k.PrepareForCreate(b.Context(), pod)
		if errs := k.Validate(pod); len(errs) > 0 {
			b.Fatal(errs)
		}
		k.Unserved(pod, nil)
		k.Warnings(pod, nil)
	}
}
