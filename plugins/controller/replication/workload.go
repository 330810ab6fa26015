package main

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/sdk/controller"
)

var (
	controllerKind = corev1.SchemeGroupVersion.WithKind("ReplicationController")
	setKind        = appsv1.SchemeGroupVersion.WithKind("ReplicaSet")
	kinds          = [...]schema.GroupVersionKind{controllerKind, setKind}
)

// workload is what a ReplicationController and a ReplicaSet have in common.
type workload struct {
	kind            schema.GroupVersionKind
	object          metav1.Object
	runtimeObject   runtime.Object
	replicas        int32
	minReadySeconds int32
	selector        labels.Selector
	template        *corev1.PodTemplateSpec
	status          status
}

func (w *workload) key() controller.Key {
	return controller.Key{Kind: w.kind.GroupKind(), Namespace: w.object.GetNamespace(), Name: w.object.GetName()}
}

// find returns the key's object; false where it is gone.
func find(view controller.View, key controller.Key) (*workload, bool, error) {
	if key.Kind == setKind.GroupKind() {
		if rs, ok := controller.Get[*appsv1.ReplicaSet](view, key.Namespace, key.Name); ok {
			w, err := fromSet(rs)
			return w, err == nil, err
		}
		return nil, false, nil
	}
	if rc, ok := controller.Get[*corev1.ReplicationController](view, key.Namespace, key.Name); ok {
		w, err := fromController(rc)
		return w, err == nil, err
	}
	return nil, false, nil
}

// workloads returns those of a namespace that have a selector.
func workloads(view controller.View, namespace string) []*workload {
	var list []*workload
	for _, rc := range controller.List[*corev1.ReplicationController](view, namespace, nil) {
		if w, err := fromController(rc); err == nil {
			list = append(list, w)
		}
	}
	for _, rs := range controller.List[*appsv1.ReplicaSet](view, namespace, nil) {
		if w, err := fromSet(rs); err == nil {
			list = append(list, w)
		}
	}
	return list
}

func fromController(rc *corev1.ReplicationController) (*workload, error) {
	if len(rc.Spec.Selector) == 0 || rc.Spec.Template == nil {
		return nil, controller.Terminal(fmt.Errorf("ReplicationController %s/%s has no selector or no template", rc.Namespace, rc.Name))
	}
	w := &workload{
		kind: controllerKind, object: rc, runtimeObject: rc,
		replicas: valueOr(rc.Spec.Replicas, 1), minReadySeconds: rc.Spec.MinReadySeconds,
		selector: labels.SelectorFromSet(rc.Spec.Selector), template: rc.Spec.Template,
		status: status{
			Replicas: rc.Status.Replicas, FullyLabeledReplicas: rc.Status.FullyLabeledReplicas,
			ReadyReplicas: rc.Status.ReadyReplicas, AvailableReplicas: rc.Status.AvailableReplicas,
			ObservedGeneration: rc.Status.ObservedGeneration,
		},
	}
	for _, c := range rc.Status.Conditions {
		w.status.Conditions = append(w.status.Conditions, condition{string(c.Type), c.Status, c.LastTransitionTime, c.Reason, c.Message})
	}
	return w, nil
}

func fromSet(rs *appsv1.ReplicaSet) (*workload, error) {
	selector, err := metav1.LabelSelectorAsSelector(rs.Spec.Selector)
	if err != nil {
		return nil, controller.Terminal(fmt.Errorf("ReplicaSet %s/%s has a selector that can't be read: %w", rs.Namespace, rs.Name, err))
	}
	if selector.Empty() {
		return nil, controller.Terminal(fmt.Errorf("ReplicaSet %s/%s has an empty selector, which would match all pods", rs.Namespace, rs.Name))
	}
	w := &workload{
		kind: setKind, object: rs, runtimeObject: rs,
		replicas: valueOr(rs.Spec.Replicas, 1), minReadySeconds: rs.Spec.MinReadySeconds,
		selector: selector, template: &rs.Spec.Template,
		status: status{
			Replicas: rs.Status.Replicas, FullyLabeledReplicas: rs.Status.FullyLabeledReplicas,
			ReadyReplicas: rs.Status.ReadyReplicas, AvailableReplicas: rs.Status.AvailableReplicas,
			ObservedGeneration: rs.Status.ObservedGeneration,
		},
	}
	for _, c := range rs.Status.Conditions {
		w.status.Conditions = append(w.status.Conditions, condition{string(c.Type), c.Status, c.LastTransitionTime, c.Reason, c.Message})
	}
	return w, nil
}

func valueOr(p *int32, otherwise int32) int32 {
	if p == nil {
		return otherwise
	}
	return *p
}
