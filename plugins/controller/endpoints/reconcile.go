package main

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/sdk/controller"
)

const (
	// byService is the index of EndpointSlices by namespace/service.
	byService = "service"
	// byLabel is the index of pods by namespace and one label, "ns/key=value".
	byLabel = "label"
)

var (
	serviceKind   = corev1.SchemeGroupVersion.WithKind("Service")
	endpointsKind = corev1.SchemeGroupVersion.WithKind("Endpoints")
	nodeKind      = corev1.SchemeGroupVersion.WithKind("Node")
)

type reconciler struct{}

func spec() controller.Spec {
	return controller.Spec{
		Watches: []controller.Watch{
			{Object: &corev1.Service{}, Trigger: controller.Self},
			{
				Object:  &corev1.Pod{},
				Trigger: controller.Mapped,
				Fields: []string{
					"spec.nodeName", "spec.hostname", "spec.subdomain", "spec.restartPolicy",
					"spec.containers", "spec.initContainers",
					"status.phase", "status.conditions", "status.podIP", "status.podIPs",
				},
				Indexes: map[string]func(runtime.Object) []string{byLabel: labelIndex},
			},
			{Object: &corev1.Endpoints{}, Trigger: controller.Mapped},
			{
				Object:  &discoveryv1.EndpointSlice{},
				Trigger: controller.Mapped,
				Indexes: map[string]func(runtime.Object) []string{byService: serviceIndex},
			},
			// For zones.
			{Object: &metav1.PartialObjectMetadata{}, Kind: nodeKind, Trigger: controller.None},
		},
		MaxInFlight: 32,
	}
}

func labelIndex(obj runtime.Object) []string {
	pod := obj.(*corev1.Pod)
	values := make([]string, 0, len(pod.Labels))
	for k, v := range pod.Labels {
		values = append(values, labelValue(pod.Namespace, k, v))
	}
	return values
}

func labelValue(namespace, key, value string) string { return namespace + "/" + key + "=" + value }

func serviceIndex(obj runtime.Object) []string {
	slice := obj.(*discoveryv1.EndpointSlice)
	if service := slice.Labels[discoveryv1.LabelServiceName]; service != "" {
		return []string{slice.Namespace + "/" + service}
	}
	return nil
}

// Map returns the Services that a pod, an Endpoints or an EndpointSlice is
// about, before and after the change.
func (reconciler) Map(_ context.Context, change controller.Change, view controller.View) []controller.Key {
	switch changed := change.Object().(type) {
	case *corev1.Pod:
		return podServices(change, view)
	case *corev1.Endpoints:
		return []controller.Key{serviceKey(changed.Namespace, changed.Name)}
	case *discoveryv1.EndpointSlice:
		var keys []controller.Key
		for _, obj := range []runtime.Object{change.Old, change.New} {
			if obj == nil {
				continue
			}
			if service := obj.(*discoveryv1.EndpointSlice).Labels[discoveryv1.LabelServiceName]; service != "" {
				keys = append(keys, serviceKey(changed.Namespace, service))
			}
		}
		return keys
	}
	return nil
}

func podServices(change controller.Change, view controller.View) []controller.Key {
	before, _ := change.Old.(*corev1.Pod)
	after, _ := change.New.(*corev1.Pod)
	if before != nil && after != nil && sameForEndpoints(before, after) {
		return nil
	}
	var keys []controller.Key
	for _, svc := range controller.List[*corev1.Service](view, change.Object().(*corev1.Pod).Namespace, nil) {
		if matches(svc, before) || matches(svc, after) {
			keys = append(keys, serviceKey(svc.Namespace, svc.Name))
		}
	}
	return keys
}

// sameForEndpoints tells whether a pod's endpoints are the same before and
// after a change. Most changes of a pod's status are nothing to them.
func sameForEndpoints(a, b *corev1.Pod) bool {
	return a.UID == b.UID && a.Status.Phase == b.Status.Phase && ready(a) == ready(b) &&
		(a.DeletionTimestamp == nil) == (b.DeletionTimestamp == nil) &&
		a.Spec.NodeName == b.Spec.NodeName && a.Spec.Hostname == b.Spec.Hostname && a.Spec.Subdomain == b.Spec.Subdomain &&
		a.Status.PodIP == b.Status.PodIP && equality.Semantic.DeepEqual(a.Status.PodIPs, b.Status.PodIPs) &&
		equality.Semantic.DeepEqual(a.Labels, b.Labels)
}

func matches(svc *corev1.Service, pod *corev1.Pod) bool {
	if pod == nil || len(svc.Spec.Selector) == 0 {
		return false
	}
	for k, v := range svc.Spec.Selector {
		if have, ok := pod.Labels[k]; !ok || have != v {
			return false
		}
	}
	return true
}

func serviceKey(namespace, name string) controller.Key {
	return controller.Key{Kind: schema.GroupKind{Kind: "Service"}, Namespace: namespace, Name: name}
}

func (reconciler) Reconcile(_ context.Context, key controller.Key, view controller.View) (controller.Decision, error) {
	var d controller.Decision
	slices := controller.ByIndex[*discoveryv1.EndpointSlice](view, byService, key.Namespace+"/"+key.Name)
	endpoints, _ := controller.Get[*corev1.Endpoints](view, key.Namespace, key.Name)
	svc, ok := controller.Get[*corev1.Service](view, key.Namespace, key.Name)
	switch {
	case !ok:
		forget(&d, endpoints, slices)
	case svc.DeletionTimestamp != nil:
		// What it has goes with it.
	case svc.Spec.Type == corev1.ServiceTypeExternalName:
		if managed(endpoints) {
			d.Delete(endpoints)
		}
		removeSlices(&d, slices, managerController)
		removeSlices(&d, slices, managerMirror)
	case len(svc.Spec.Selector) == 0:
		removeSlices(&d, slices, managerController)
		mirror(&d, svc, endpoints, slices)
	default:
		removeSlices(&d, slices, managerMirror)
		pods := selected(view, svc)
		writeEndpoints(&d, svc, endpoints, pods)
		writeSlices(&d, view, svc, slices, pods)
	}
	d.GrowingBatches()
	return d, nil
}

// forget removes what a Service that is gone left. Endpoints that somebody else
// wrote go only where there was a Service for them, as mirrored slices prove:
// they may have been made before their Service.
func forget(d *controller.Decision, endpoints *corev1.Endpoints, slices []*discoveryv1.EndpointSlice) {
	mirrored := removeSlices(d, slices, managerMirror)
	removeSlices(d, slices, managerController)
	if endpoints != nil && (managed(endpoints) || mirrored) {
		d.Delete(endpoints)
	}
	if !d.Empty() {
		d.Because("the Service is gone")
	}
}

func removeSlices(d *controller.Decision, slices []*discoveryv1.EndpointSlice, manager string) (any bool) {
	for _, slice := range slices {
		if slice.Labels[discoveryv1.LabelManagedBy] == manager {
			d.Delete(slice)
			any = true
		}
	}
	return any
}

func failed(a *controller.Action) {
	a.OnFailure(corev1.EventTypeWarning, "FailedToUpdateEndpoint", "Failed to update endpoints: {error}")
}
