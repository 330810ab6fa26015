package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pintle-io/pintle/sdk/controller"
)

const (
	// maxAddresses is the size at which Endpoints are truncated.
	maxAddresses = 1000

	labelEndpointsManager = "endpoints.kubernetes.io/managed-by"
	endpointsManager      = "endpoint-controller"
)

// managed tells whether Endpoints are this controller's.
func managed(e *corev1.Endpoints) bool {
	return e != nil && e.Labels[labelEndpointsManager] == endpointsManager
}

// writeEndpoints makes the Endpoints what they ought to be.
func writeEndpoints(d *controller.Decision, svc *corev1.Service, current *corev1.Endpoints, pods []*corev1.Pod) {
	subsets, total := subsetsOf(svc, pods)
	truncated := truncate(subsets, total)
	want := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: svc.Namespace, Name: svc.Name}}
	if current != nil {
		want = current.DeepCopy()
	}
	want.Subsets = slices.DeleteFunc(subsets, func(s corev1.EndpointSubset) bool {
		return len(s.Addresses)+len(s.NotReadyAddresses) == 0
	})
	want.Labels = maps.Clone(svc.Labels)
	if want.Labels == nil {
		want.Labels = map[string]string{}
	}
	want.Labels[labelEndpointsManager] = endpointsManager
	delete(want.Labels, corev1.IsHeadlessService)
	if headless(svc) {
		want.Labels[corev1.IsHeadlessService] = ""
	}
	delete(want.Annotations, corev1.EndpointsOverCapacity)
	if truncated {
		metav1.SetMetaDataAnnotation(&want.ObjectMeta, corev1.EndpointsOverCapacity, "truncated")
	}
	switch {
	case current == nil:
		d.Because("the Service has no Endpoints yet")
		failed(d.Create(want))
	case !sameEndpoints(current, want):
		d.Because("%d addresses stand behind the Service now", total)
		failed(d.Update(want))
	}
}

func sameEndpoints(a, b *corev1.Endpoints) bool {
	return equality.Semantic.DeepEqual(a.Subsets, b.Subsets) &&
		equality.Semantic.DeepEqual(a.Labels, b.Labels) &&
		equality.Semantic.DeepEqual(a.Annotations, b.Annotations)
}

// subsetsOf groups the pods' addresses by the ports that they have.
func subsetsOf(svc *corev1.Service, pods []*corev1.Pod) (subsets []corev1.EndpointSubset, total int) {
	family := families(svc)[0]
	groups := map[string]*corev1.EndpointSubset{}
	for _, pod := range pods {
		if !belongs(pod, svc.Spec.PublishNotReadyAddresses) {
			continue
		}
		ip := address(pod, family)
		list, ok := ports(svc, pod)
		if ip == "" || !ok {
			continue
		}
		key := fmt.Sprint(list)
		subset := groups[key]
		if subset == nil {
			subset = &corev1.EndpointSubset{Ports: endpointPorts(list)}
			groups[key] = subset
		}
		addr := corev1.EndpointAddress{IP: ip, Hostname: hostname(svc, pod), TargetRef: targetRef(pod)}
		if pod.Spec.NodeName != "" {
			addr.NodeName = &pod.Spec.NodeName
		}
		if svc.Spec.PublishNotReadyAddresses || ready(pod) {
			subset.Addresses = append(subset.Addresses, addr)
		} else {
			subset.NotReadyAddresses = append(subset.NotReadyAddresses, addr)
		}
		total++
	}
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		subset := groups[key]
		sortAddresses(subset.Addresses)
		sortAddresses(subset.NotReadyAddresses)
		subsets = append(subsets, *subset)
	}
	return subsets, total
}

func endpointPorts(list []port) []corev1.EndpointPort {
	var out []corev1.EndpointPort
	for _, p := range list {
		ep := corev1.EndpointPort{Name: p.name, Port: p.number, Protocol: p.protocol}
		if p.appProtocol != "" {
			ep.AppProtocol = &p.appProtocol
		}
		out = append(out, ep)
	}
	return out
}

func sortAddresses(list []corev1.EndpointAddress) {
	slices.SortFunc(list, func(a, b corev1.EndpointAddress) int {
		return cmp.Or(cmp.Compare(a.IP, b.IP), cmp.Compare(a.TargetRef.UID, b.TargetRef.UID))
	})
}

// truncate takes addresses off until no more than maxAddresses are left, those
// that are not ready first. It tells whether it had to.
func truncate(subsets []corev1.EndpointSubset, total int) bool {
	if total <= maxAddresses {
		return false
	}
	room := maxAddresses
	for i := range subsets {
		n := min(room, len(subsets[i].Addresses))
		subsets[i].Addresses = subsets[i].Addresses[:n]
		room -= n
	}
	for i := range subsets {
		n := min(room, len(subsets[i].NotReadyAddresses))
		subsets[i].NotReadyAddresses = subsets[i].NotReadyAddresses[:n]
		room -= n
	}
	return true
}
