package main

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pintle-io/pintle/sdk/controller"
)

const (
	// leaderAnnotation marks Endpoints that are a lock, not addresses.
	leaderAnnotation = "control-plane.alpha.kubernetes.io/leader"
	// maxMirrored is how many addresses of a subset are mirrored.
	maxMirrored = 1000
)

// mirror makes slices of Endpoints that somebody else writes.
func mirror(d *controller.Decision, svc *corev1.Service, endpoints *corev1.Endpoints, all []*discoveryv1.EndpointSlice) {
	if endpoints == nil || endpoints.DeletionTimestamp != nil || !mirrored(endpoints) {
		removeSlices(d, all, managerMirror)
		return
	}
	annotations := maps.Clone(endpoints.Annotations)
	delete(annotations, corev1.EndpointsLastChangeTriggerTime)
	delete(annotations, corev1.LastAppliedConfigAnnotation)
	p := &packer{
		decision: d,
		manager:  managerMirror,
		base: discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
			Namespace:       svc.Namespace,
			GenerateName:    generateName(svc.Name),
			Labels:          sliceLabels(endpoints.Labels, svc, managerMirror),
			Annotations:     annotations,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(endpoints, endpointsKind)},
		}},
	}
	p.pack(mirrorGroups(endpoints), all)
}

func mirrored(e *corev1.Endpoints) bool {
	_, lock := e.Annotations[leaderAnnotation]
	return !lock && e.Labels[discoveryv1.LabelSkipMirror] != "true"
}

func mirrorGroups(e *corev1.Endpoints) []*group {
	groups := map[string]*group{}
	for i := range e.Subsets {
		subset := &e.Subsets[i]
		var list []port
		for _, ep := range subset.Ports {
			p := port{name: ep.Name, protocol: cmp.Or(ep.Protocol, corev1.ProtocolTCP), number: ep.Port}
			if ep.AppProtocol != nil {
				p.appProtocol = *ep.AppProtocol
			}
			list = append(list, p)
		}
		room := maxMirrored
		add := func(addresses []corev1.EndpointAddress, isReady bool) {
			for _, a := range addresses {
				family := familyOf(a.IP)
				if family == "" || room == 0 {
					continue
				}
				room--
				g := &group{addressType: discoveryv1.AddressType(family), ports: list}
				if have := groups[g.key()]; have != nil {
					g = have
				} else {
					groups[g.key()] = g
				}
				e := discoveryv1.Endpoint{
					Addresses:  []string{a.IP},
					Conditions: discoveryv1.EndpointConditions{Ready: &isReady},
					TargetRef:  a.TargetRef,
					NodeName:   a.NodeName,
				}
				if a.Hostname != "" {
					e.Hostname = &a.Hostname
				}
				g.endpoints = append(g.endpoints, e)
			}
		}
		add(subset.Addresses, true)
		add(subset.NotReadyAddresses, false)
	}
	var out []*group
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		out = append(out, groups[key])
	}
	return out
}
