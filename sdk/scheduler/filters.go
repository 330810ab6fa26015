package scheduler

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// The words are those that operators know from Kubernetes.
const (
	reasonUnschedulable      = "node(s) were unschedulable"
	reasonNodeAffinity       = "node(s) didn't match Pod's node affinity/selector"
	reasonPorts              = "node(s) didn't have free ports for the requested pod ports"
	reasonTooManyPods        = "Too many pods"
	reasonAffinity           = "node(s) didn't match pod affinity rules"
	reasonAntiAffinity       = "node(s) didn't match pod anti-affinity rules"
	reasonOthersAntiAffinity = "node(s) didn't satisfy existing pods anti-affinity rules"
	reasonSpread             = "node(s) didn't match pod topology spread constraints"
	reasonSpreadLabel        = "node(s) didn't match pod topology spread constraints (missing required label)"
)

var unschedulableTaint = corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}

// untolerated returns the first taint that keeps the pod away.
func untolerated(pod *Pod, node *Node) *corev1.Taint {
	for i := range node.Taints {
		t := &node.Taints[i]
		if t.Effect != corev1.TaintEffectNoSchedule && t.Effect != corev1.TaintEffectNoExecute {
			continue
		}
		if !tolerated(t, pod.Spec.Tolerations) {
			return t
		}
	}
	return nil
}

// checkNode asks what depends on the node alone and is true whatever pods are
// on it.
func checkNode(pod *Pod, node *Node) string {
	if node.Unschedulable && !tolerated(&unschedulableTaint, pod.Spec.Tolerations) {
		return reasonUnschedulable
	}
	if t := untolerated(pod, node); t != nil {
		return fmt.Sprintf("node(s) had untolerated taint {%s: %s}", t.Key, t.Value)
	}
	if !pod.node.allows(node) {
		return reasonNodeAffinity
	}
	return ""
}

// checkRoom asks whether there is room: ports, pods, resources. Several
// resources may be short at once; each is a reason.
func checkRoom(pod *Pod, node *Node, reasons []string) []string {
	if len(pod.ports) > 0 && portsTaken(pod, node) {
		return append(reasons, reasonPorts)
	}
	if int64(len(node.Pods))+1 > node.MaxPods {
		reasons = append(reasons, reasonTooManyPods)
	}
	r, free := &pod.Requests, func(total, used int64) int64 { return total - used }
	if r.MilliCPU > 0 && r.MilliCPU > free(node.Allocatable.MilliCPU, node.Requested.MilliCPU) {
		reasons = append(reasons, "Insufficient cpu")
	}
	if r.Memory > 0 && r.Memory > free(node.Allocatable.Memory, node.Requested.Memory) {
		reasons = append(reasons, "Insufficient memory")
	}
	if r.EphemeralStorage > 0 && r.EphemeralStorage > free(node.Allocatable.EphemeralStorage, node.Requested.EphemeralStorage) {
		reasons = append(reasons, "Insufficient ephemeral-storage")
	}
	if len(r.Extended) > 0 {
		for _, name := range r.names() {
			if n := r.Extended[name]; n > 0 && n > free(node.Allocatable.Extended[name], node.Requested.Extended[name]) {
				reasons = append(reasons, "Insufficient "+string(name))
			}
		}
	}
	return reasons
}

func portsTaken(pod *Pod, node *Node) bool {
	for _, other := range node.withPorts {
		for _, taken := range other.ports {
			for _, wanted := range pod.ports {
				if wanted.conflicts(taken) {
					return true
				}
			}
		}
	}
	return false
}
