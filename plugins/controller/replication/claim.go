package main

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pintle-io/pintle/sdk/controller"
)

// active tells whether a pod counts: it has not ended and is not being deleted.
func active(pod *corev1.Pod) bool {
	return pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed && pod.DeletionTimestamp == nil
}

// owned returns the active pods that a workload controls and selects.
func (w *workload) owned(view controller.View) (mine, strangers []*corev1.Pod) {
	for _, pod := range controller.Owned[*corev1.Pod](view, w.object.GetUID()) {
		if !active(pod) || !metav1.IsControlledBy(pod, w.object) {
			continue
		}
		if w.selector.Matches(labels.Set(pod.Labels)) {
			mine = append(mine, pod)
		} else {
			strangers = append(strangers, pod)
		}
	}
	return mine, strangers
}

// claim returns the pods that are the workload's once the decision was applied:
// it adopts those that match and nobody controls, and releases those that no
// longer match.
func (w *workload) claim(view controller.View, d *controller.Decision) []*corev1.Pod {
	mine, strangers := w.owned(view)
	if w.object.GetDeletionTimestamp() != nil {
		return mine
	}
	for _, pod := range strangers {
		d.Patch(pod, types.StrategicMergePatchType, w.releasePatch())
	}
	adopted := false
	for _, pod := range controller.ByIndex[*corev1.Pod](view, orphans, w.object.GetNamespace()) {
		if !active(pod) || !w.selector.Matches(labels.Set(pod.Labels)) {
			continue
		}
		d.Patch(pod, types.StrategicMergePatchType, w.adoptPatch())
		mine = append(mine, pod)
		adopted = true
	}
	if adopted {
		// Whoever is deleted while it leaves its pods behind must not take them
		// back.
		d.Guard(w.runtimeObject)
	}
	return mine
}

func (w *workload) ownerReference() metav1.OwnerReference {
	return *metav1.NewControllerRef(w.object, w.kind)
}

func (w *workload) adoptPatch() []byte {
	return ownerPatch(w.ownerReference())
}

func (w *workload) releasePatch() []byte {
	return ownerPatch(map[string]any{"$patch": "delete", "uid": w.object.GetUID()})
}

func ownerPatch(reference any) []byte {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"ownerReferences": []any{reference}}})
	if err != nil {
		panic(err) // plain data
	}
	return patch
}
