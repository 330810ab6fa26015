package main

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/pintle-io/pintle/sdk/controller"
)

// burst is the largest number of pods that one decision creates or deletes, as
// in Kubernetes.
const burst = 500

// create adds pods made from the template.
func (w *workload) create(d *controller.Decision, missing int) {
	n := min(missing, burst)
	d.Because("%d of %d pods are missing", missing, w.replicas)
	pod := w.newPod()
	for range n {
		d.Create(pod).
			OnSuccess(corev1.EventTypeNormal, "SuccessfulCreate", "Created pod: {name}").
			OnFailure(corev1.EventTypeWarning, "FailedCreate", "Error creating: {error}")
	}
}

func (w *workload) newPod() *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       w.object.GetNamespace(),
			GenerateName:    generateName(w.object.GetName()),
			Labels:          w.template.Labels,
			Annotations:     w.template.Annotations,
			Finalizers:      w.template.Finalizers,
			OwnerReferences: []metav1.OwnerReference{w.ownerReference()},
		},
		Spec: w.template.Spec,
	}
	return pod
}

// generateName begins the names of pods.
func generateName(name string) string {
	if prefix := name + "-"; len(validation.IsDNS1123Subdomain(prefix+"x")) == 0 {
		return prefix
	}
	return name
}

// remove deletes the first pods of a ranking.
func (w *workload) remove(d *controller.Decision, ranked []*corev1.Pod, surplus int) {
	d.Because("%d pods more than the %d asked for", surplus, w.replicas)
	for _, pod := range ranked[:min(surplus, burst, len(ranked))] {
		d.Delete(pod).
			OnSuccess(corev1.EventTypeNormal, "SuccessfulDelete", "Deleted pod: {name}").
			OnFailure(corev1.EventTypeWarning, "FailedDelete", "Error deleting: {error}")
	}
}
