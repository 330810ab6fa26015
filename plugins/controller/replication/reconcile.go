package main

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pintle-io/pintle/sdk/controller"
)

// orphans is the index of pods that nobody controls, by namespace.
const orphans = "orphans"

type reconciler struct{}

func spec() controller.Spec {
	return controller.Spec{
		Watches: []controller.Watch{
			{Object: &corev1.ReplicationController{}, Trigger: controller.Self},
			{Object: &appsv1.ReplicaSet{}, Trigger: controller.Self},
			{
				Object:  &corev1.Pod{},
				Trigger: controller.Mapped,
				Fields:  []string{"spec.nodeName", "status.phase", "status.conditions", "status.containerStatuses"},
				Indexes: map[string]func(runtime.Object) []string{orphans: orphanIndex},
			},
		},
		MaxInFlight: 64,
	}
}

func orphanIndex(obj runtime.Object) []string {
	pod := obj.(*corev1.Pod)
	if metav1.GetControllerOfNoCopy(pod) != nil {
		return nil
	}
	return []string{pod.Namespace}
}

// Map returns the owners of a pod, before and after, or for one that nobody
// controls those who might adopt it.
func (reconciler) Map(_ context.Context, change controller.Change, view controller.View) []controller.Key {
	var keys []controller.Key
	for _, obj := range []runtime.Object{change.Old, change.New} {
		if obj == nil {
			continue
		}
		if key, ok := ownerKey(obj.(*corev1.Pod)); ok {
			keys = append(keys, key)
		}
	}
	if change.New == nil {
		return keys
	}
	if pod := change.New.(*corev1.Pod); metav1.GetControllerOfNoCopy(pod) == nil {
		keys = append(keys, adopters(pod, view)...)
	}
	return keys
}

func ownerKey(pod *corev1.Pod) (controller.Key, bool) {
	ref := metav1.GetControllerOfNoCopy(pod)
	if ref == nil {
		return controller.Key{}, false
	}
	for _, kind := range kinds {
		if ref.Kind == kind.Kind && ref.APIVersion == kind.GroupVersion().String() {
			return controller.Key{Kind: kind.GroupKind(), Namespace: pod.Namespace, Name: ref.Name}, true
		}
	}
	return controller.Key{}, false
}

// adopters returns the keys of all whose selector matches a pod.
func adopters(pod *corev1.Pod, view controller.View) []controller.Key {
	var keys []controller.Key
	for _, w := range workloads(view, pod.Namespace) {
		if w.selector.Matches(labels.Set(pod.Labels)) {
			keys = append(keys, w.key())
		}
	}
	return keys
}

func (reconciler) Reconcile(_ context.Context, key controller.Key, view controller.View) (controller.Decision, error) {
	var d controller.Decision
	w, ok, err := find(view, key)
	if err != nil || !ok {
		return d, err
	}
	pods := w.claim(view, &d)
	failed := failure(view)
	diff := len(pods) - int(w.replicas)
	// Status first: it is independent of what follows, and tells how it was
	// before that.
	w.report(&d, pods, diff, failed, view.Now())
	if w.object.GetDeletionTimestamp() == nil {
		switch {
		case diff < 0:
			w.create(&d, -diff)
		case diff > 0:
			w.remove(&d, w.rank(pods, related(view, w), view.Now()), diff)
		}
	}
	d.GrowingBatches()
	return d, nil
}
