package housekeeping

import (
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pintle-io/pintle/sdk/controller"
)

// conditions of a node that are unknown when it is silent.
var silentConditions = []corev1.NodeConditionType{
	corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure,
}

// watchSilence marks a node that was not heard of for too long. It tells
// whether the node is silent, and whether its conditions are being changed.
func (n *nodes) watchSilence(d *controller.Decision, view controller.View, node *corev1.Node) (silent, told bool) {
	left := lastSign(view, node).Add(n.grace).Sub(view.Now())
	if left > 0 {
		d.Requeue(left)
		return false, false
	}
	d.Requeue(n.grace)
	var changed []corev1.NodeCondition
	for _, t := range silentConditions {
		c := nodeCondition(node, t)
		if c != nil && c.Status == corev1.ConditionUnknown {
			continue
		}
		changed = append(changed, unknownCondition(t, c, node, view.Now()))
	}
	if len(changed) == 0 {
		return true, false
	}
	d.Because("the node was not heard of for %s", n.grace)
	d.PatchStatus(node, types.StrategicMergePatchType, statusPatch(changed))
	if c := nodeCondition(node, corev1.NodeReady); c != nil && c.Status == corev1.ConditionTrue {
		d.Event(node, corev1.EventTypeNormal, "NodeNotReady", "Node %s status is now: NodeNotReady", node.Name)
	}
	return true, true
}

func unknownCondition(t corev1.NodeConditionType, had *corev1.NodeCondition, node *corev1.Node, now time.Time) corev1.NodeCondition {
	c := corev1.NodeCondition{
		Type: t, Status: corev1.ConditionUnknown,
		Reason: "NodeStatusUnknown", Message: "Kubelet stopped posting node status.",
		LastTransitionTime: metav1.NewTime(now),
	}
	if had == nil {
		c.Reason, c.Message = "NodeStatusNeverUpdated", "Kubelet never posted node status."
		c.LastHeartbeatTime = node.CreationTimestamp
		return c
	}
	c.LastHeartbeatTime = had.LastHeartbeatTime
	return c
}

func nodeCondition(node *corev1.Node, t corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range node.Status.Conditions {
		if node.Status.Conditions[i].Type == t {
			return &node.Status.Conditions[i]
		}
	}
	return nil
}

// markUnready takes the pods of a silent node out of service: nobody else can
// say that they are not reachable.
func markUnready(d *controller.Decision, bound []*corev1.Pod, now time.Time) {
	for _, pod := range bound {
		for _, c := range pod.Status.Conditions {
			if c.Type != corev1.PodReady || c.Status != corev1.ConditionTrue {
				continue
			}
			c.Status, c.LastTransitionTime = corev1.ConditionFalse, metav1.NewTime(now)
			c.Reason, c.Message = "NodeNotReady", "The node was not heard of"
			d.PatchStatus(pod, types.StrategicMergePatchType, statusPatch([]corev1.PodCondition{c}))
			d.Event(pod, corev1.EventTypeWarning, "NodeNotReady", "Node is not ready")
		}
	}
}

func statusPatch(conditions any) []byte {
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": conditions}})
	if err != nil {
		panic(err) // plain data
	}
	return patch
}
