package main

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/pintle-io/pintle/sdk/controller"
)

const (
	managerController = "endpointslice-controller.k8s.io"
	managerMirror     = "endpointslicemirroring-controller.k8s.io"
)

// group is the endpoints that may share slices: those of one family with the
// same ports.
type group struct {
	addressType discoveryv1.AddressType
	ports       []port
	endpoints   []discoveryv1.Endpoint
}

func (g *group) key() string { return fmt.Sprint(g.addressType, g.ports) }

// writeSlices makes a Service's slices what they ought to be.
func writeSlices(d *controller.Decision, view controller.View, svc *corev1.Service, all []*discoveryv1.EndpointSlice, pods []*corev1.Pod) {
	p := &packer{
		decision: d,
		manager:  managerController,
		base: discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
			Namespace:       svc.Namespace,
			GenerateName:    generateName(svc.Name),
			Labels:          sliceLabels(svc.Labels, svc, managerController),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(svc, serviceKind)},
		}},
	}
	for _, family := range families(svc) {
		p.addressTypes = append(p.addressTypes, discoveryv1.AddressType(family))
	}
	p.pack(groupsOf(view, svc, pods), all)
}

// groupsOf returns the endpoints that stand behind a Service.
func groupsOf(view controller.View, svc *corev1.Service, pods []*corev1.Pod) []*group {
	groups := map[string]*group{}
	for _, family := range families(svc) {
		for _, pod := range pods {
			ip := address(pod, family)
			list, ok := ports(svc, pod)
			if ip == "" || !ok || !belongs(pod, true) {
				continue
			}
			g := &group{addressType: discoveryv1.AddressType(family), ports: list}
			if have := groups[g.key()]; have != nil {
				g = have
			} else {
				groups[g.key()] = g
			}
			g.endpoints = append(g.endpoints, endpoint(view, svc, pod, ip))
		}
	}
	var out []*group
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		out = append(out, groups[key])
	}
	return out
}

func endpoint(view controller.View, svc *corev1.Service, pod *corev1.Pod, ip string) discoveryv1.Endpoint {
	serving := ready(pod)
	terminating := pod.DeletionTimestamp != nil
	// A pod that terminates is never ready, for readers that know no other
	// condition, unless unready ones were asked for.
	isReady := svc.Spec.PublishNotReadyAddresses || (serving && !terminating)
	e := discoveryv1.Endpoint{
		Addresses:  []string{ip},
		Conditions: discoveryv1.EndpointConditions{Ready: &isReady, Serving: &serving, Terminating: &terminating},
		TargetRef:  targetRef(pod),
	}
	if name := hostname(svc, pod); name != "" {
		e.Hostname = &name
	}
	if pod.Spec.NodeName != "" {
		e.NodeName = &pod.Spec.NodeName
		if node, ok := view.Of(nodeKind).Get("", pod.Spec.NodeName); ok {
			if zone := node.(metav1.Object).GetLabels()[corev1.LabelTopologyZone]; zone != "" {
				e.Zone = &zone
			}
		}
	}
	return e
}

// sliceLabels are those of the object that a slice is made from, and those that
// say whose the slice is.
func sliceLabels(from map[string]string, svc *corev1.Service, manager string) map[string]string {
	labels := map[string]string{}
	for k, v := range from {
		if k != labelEndpointsManager && k != discoveryv1.LabelSkipMirror && k != corev1.IsHeadlessService {
			labels[k] = v
		}
	}
	labels[discoveryv1.LabelServiceName] = svc.Name
	labels[discoveryv1.LabelManagedBy] = manager
	if headless(svc) {
		labels[corev1.IsHeadlessService] = ""
	}
	return labels
}

func generateName(name string) string {
	if prefix := name + "-"; len(validation.IsDNS1123Subdomain(prefix+"x")) == 0 {
		return prefix
	}
	return name
}

func slicePorts(list []port) []discoveryv1.EndpointPort {
	var out []discoveryv1.EndpointPort
	for _, p := range list {
		ep := discoveryv1.EndpointPort{Name: &p.name, Protocol: &p.protocol, Port: &p.number}
		if p.appProtocol != "" {
			ep.AppProtocol = &p.appProtocol
		}
		out = append(out, ep)
	}
	return out
}

// portsOf is the inverse of slicePorts.
func portsOf(slice *discoveryv1.EndpointSlice) []port {
	var out []port
	for _, ep := range slice.Ports {
		var p port
		if ep.Name != nil {
			p.name = *ep.Name
		}
		if ep.Protocol != nil {
			p.protocol = *ep.Protocol
		}
		if ep.Port != nil {
			p.number = *ep.Port
		}
		if ep.AppProtocol != nil {
			p.appProtocol = *ep.AppProtocol
		}
		out = append(out, p)
	}
	return out
}
