package scheduler

import (
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

func refTo(pod *Pod) *pluginv1.ObjectRef {
	return &pluginv1.ObjectRef{
		Kind:      &pluginv1.GroupVersionKind{Version: "v1", Kind: "Pod"},
		Namespace: pod.Namespace, Name: pod.Name, Uid: string(pod.UID),
	}
}

// bind gives the pod its node.
func bind(d *pluginv1.Decision, pod *Pod, v *verdict) {
	d.Reason = fmt.Sprintf("%s scored %d, the best of %d nodes that fit", v.node.Name, v.score, v.fitted)
	d.Actions = []*pluginv1.Action{{
		Action: &pluginv1.Action_Bind{Bind: &pluginv1.Bind{Pod: refTo(pod), Node: v.node.Name}},
		// By name and uid, since a pod that has its node is no key of ours any more.
		OnSuccess: &pluginv1.Event{
			Object: refTo(pod), Type: pluginv1.Event_TYPE_NORMAL, Reason: "Scheduled",
			Message: fmt.Sprintf("Successfully assigned %s to %s", pod.Key(), v.node.Name),
		},
	}}
}

// explain says why the pod waits, in its PodScheduled condition and in an
// event, where that is news.
func explain(d *pluginv1.Decision, pod *Pod, message string) {
	d.Reason = message
	c := pod.scheduled
	if c != nil && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable && c.Message == message {
		return
	}
	d.Actions = []*pluginv1.Action{
		{Action: &pluginv1.Action_Patch{Patch: &pluginv1.Patch{
			Object: refTo(pod), Type: pluginv1.Patch_TYPE_STRATEGIC_MERGE, Subresource: "status", Patch: condition(c, message),
		}}},
		{Action: &pluginv1.Action_Event{Event: &pluginv1.Event{
			Object: refTo(pod), Type: pluginv1.Event_TYPE_WARNING, Reason: "FailedScheduling", Message: message,
		}}},
	}
}

func condition(before *corev1.PodCondition, message string) []byte {
	c := map[string]any{
		"type": corev1.PodScheduled, "status": corev1.ConditionFalse, "reason": corev1.PodReasonUnschedulable, "message": message,
	}
	if before == nil || before.Status != corev1.ConditionFalse {
		c["lastTransitionTime"] = time.Now().UTC().Format(time.RFC3339)
	}
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []any{c}}})
	if err != nil {
		panic(err) // Strings always encode.
	}
	return patch
}
