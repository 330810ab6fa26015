package main

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/pintle-io/pintle/sdk/controller"
)

// selected returns the pods that a Service's selector matches, by name.
func selected(view controller.View, svc *corev1.Service) []*corev1.Pod {
	// The rarest label keeps the search short.
	var candidates []*corev1.Pod
	first := true
	for k, v := range svc.Spec.Selector {
		found := controller.ByIndex[*corev1.Pod](view, byLabel, labelValue(svc.Namespace, k, v))
		if first || len(found) < len(candidates) {
			candidates, first = found, false
		}
	}
	return slices.DeleteFunc(candidates, func(pod *corev1.Pod) bool { return !matches(svc, pod) })
}

// belongs tells whether a pod can be an endpoint: it has an address and has not
// ended; one that is being deleted only where that was asked for.
func belongs(pod *corev1.Pod, terminating bool) bool {
	switch {
	case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		return false
	case pod.Status.PodIP == "" && len(pod.Status.PodIPs) == 0:
		return false
	}
	return terminating || pod.DeletionTimestamp == nil
}

func ready(pod *corev1.Pod) bool {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// address returns the pod's address of a family, or "".
func address(pod *corev1.Pod, family corev1.IPFamily) string {
	for _, ip := range pod.Status.PodIPs {
		if familyOf(ip.IP) == family {
			return ip.IP
		}
	}
	if familyOf(pod.Status.PodIP) == family {
		return pod.Status.PodIP
	}
	return ""
}

func familyOf(ip string) corev1.IPFamily {
	addr, err := netip.ParseAddr(ip)
	switch {
	case err != nil:
		return ""
	case addr.Is6() && !addr.Is4In6():
		return corev1.IPv6Protocol
	}
	return corev1.IPv4Protocol
}

// families of a Service; IPv4 where it does not say.
func families(svc *corev1.Service) []corev1.IPFamily {
	if len(svc.Spec.IPFamilies) > 0 {
		return svc.Spec.IPFamilies
	}
	if f := familyOf(svc.Spec.ClusterIP); f != "" {
		return []corev1.IPFamily{f}
	}
	return []corev1.IPFamily{corev1.IPv4Protocol}
}

func headless(svc *corev1.Service) bool { return svc.Spec.ClusterIP == corev1.ClusterIPNone }

// port is one port of a Service as one pod has it.
type port struct {
	name        string
	protocol    corev1.Protocol
	number      int32
	appProtocol string
}

// ports returns the Service's ports on a pod. A named port that the pod does
// not have is left out. ok is false where none is left: the pod is no endpoint.
func ports(svc *corev1.Service, pod *corev1.Pod) (list []port, ok bool) {
	if len(svc.Spec.Ports) == 0 {
		return nil, headless(svc)
	}
	for i := range svc.Spec.Ports {
		sp := &svc.Spec.Ports[i]
		number, found := portNumber(pod, sp)
		if !found {
			continue
		}
		p := port{name: sp.Name, protocol: cmp.Or(sp.Protocol, corev1.ProtocolTCP), number: number}
		if sp.AppProtocol != nil {
			p.appProtocol = *sp.AppProtocol
		}
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b port) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.protocol, b.protocol), cmp.Compare(a.number, b.number))
	})
	return list, len(list) > 0
}

// portNumber finds a Service's target port among the pod's containers, the
// init containers that keep running included.
func portNumber(pod *corev1.Pod, sp *corev1.ServicePort) (int32, bool) {
	if sp.TargetPort.Type == intstr.Int {
		if sp.TargetPort.IntVal == 0 {
			return sp.Port, true
		}
		return sp.TargetPort.IntVal, true
	}
	protocol := cmp.Or(sp.Protocol, corev1.ProtocolTCP)
	find := func(c *corev1.Container) (int32, bool) {
		for _, p := range c.Ports {
			if p.Name == sp.TargetPort.StrVal && cmp.Or(p.Protocol, corev1.ProtocolTCP) == protocol {
				return p.ContainerPort, true
			}
		}
		return 0, false
	}
	for i := range pod.Spec.Containers {
		if n, ok := find(&pod.Spec.Containers[i]); ok {
			return n, true
		}
	}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if c.RestartPolicy == nil || *c.RestartPolicy != corev1.ContainerRestartPolicyAlways {
			continue
		}
		if n, ok := find(c); ok {
			return n, true
		}
	}
	return 0, false
}

// hostname returns the name that DNS gives the pod below the Service, or "".
func hostname(svc *corev1.Service, pod *corev1.Pod) string {
	if pod.Spec.Hostname != "" && pod.Spec.Subdomain == svc.Name {
		return pod.Spec.Hostname
	}
	return ""
}

func targetRef(pod *corev1.Pod) *corev1.ObjectReference {
	return &corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}
}
