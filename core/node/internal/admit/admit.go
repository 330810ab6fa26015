package admit

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	helper "k8s.io/component-helpers/resource"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/pintle-io/pintle/core/node/internal/podspec"
)

// Refusal says why a pod can't run here.
type Refusal struct{ Reason, Message string }

func refuse(reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Message: "Pod was rejected: " + fmt.Sprintf(format, args...)}
}

// Check returns nil where the pod fits on the node beside the others, which are
// those that were admitted and have not ended.
func Check(pod *corev1.Pod, node *corev1.Node, others []*corev1.Pod) *Refusal {
	if ok, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node); err != nil || !ok {
		return refuse("NodeAffinity", "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector")
	}
	if r := ports(pod, others); r != nil {
		return r
	}
	return resources(pod, node, others)
}

func resources(pod *corev1.Pod, node *corev1.Node, others []*corev1.Pod) *Refusal {
	allocatable := node.Status.Allocatable
	if pods, ok := allocatable[corev1.ResourcePods]; ok && int64(len(others))+1 > pods.Value() {
		return refuse("OutOfpods", "Node didn't have enough resource: pods, requested: 1, used: %d, capacity: %d", len(others), pods.Value())
	}
	want := helper.PodRequests(pod, helper.PodResourcesOptions{})
	names := make([]corev1.ResourceName, 0, len(want))
	for name := range want {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		q := want[name]
		if q.Sign() <= 0 {
			continue
		}
		used := resource.Quantity{}
		for _, o := range others {
			used.Add(helper.PodRequests(o, helper.PodResourcesOptions{})[name])
		}
		capacity, known := allocatable[name]
		if !known && len(allocatable) == 0 {
			continue // the node has not measured itself yet
		}
		if total := sum(used, q); total.Cmp(capacity) > 0 {
			return refuse("OutOf"+string(name), "Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d",
				name, amount(name, q), amount(name, used), amount(name, capacity))
		}
	}
	return nil
}

func sum(a, b resource.Quantity) resource.Quantity {
	a = a.DeepCopy()
	a.Add(b)
	return a
}

// amount is in the units that the scheduler counts in: thousandths of a CPU.
func amount(name corev1.ResourceName, q resource.Quantity) int64 {
	if name == corev1.ResourceCPU {
		return q.MilliValue()
	}
	return q.Value()
}

type hostPort struct {
	ip, protocol string
	port         int32
}

func hostPorts(pod *corev1.Pod) []hostPort {
	var out []hostPort
	for _, c := range podspec.AllContainers(pod) {
		for _, p := range c.Ports {
			port := p.HostPort
			if port == 0 && pod.Spec.HostNetwork {
				port = p.ContainerPort
			}
			if port == 0 {
				continue
			}
			h := hostPort{p.HostIP, string(p.Protocol), port}
			if h.ip == "" {
				h.ip = "0.0.0.0"
			}
			if h.protocol == "" {
				h.protocol = string(corev1.ProtocolTCP)
			}
			out = append(out, h)
		}
	}
	return out
}

func ports(pod *corev1.Pod, others []*corev1.Pod) *Refusal {
	want := hostPorts(pod)
	if len(want) == 0 {
		return nil
	}
	for _, o := range others {
		for _, taken := range hostPorts(o) {
			for _, w := range want {
				if w.port == taken.port && w.protocol == taken.protocol &&
					(w.ip == taken.ip || w.ip == "0.0.0.0" || taken.ip == "0.0.0.0") {
					return refuse("NodePorts", "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports: %s/%d is used by %s/%s",
						w.protocol, w.port, o.Namespace, o.Name)
				}
			}
		}
	}
	return nil
}
