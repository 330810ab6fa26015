package housekeeping

import (
	"encoding/json"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pintle-io/pintle/sdk/controller"
)

// conditionTaints are the taints that follow from a node's conditions, besides
// those of Ready.
var conditionTaints = map[corev1.NodeConditionType]string{
	corev1.NodeMemoryPressure:     corev1.TaintNodeMemoryPressure,
	corev1.NodeDiskPressure:       corev1.TaintNodeDiskPressure,
	corev1.NodePIDPressure:        corev1.TaintNodePIDPressure,
	corev1.NodeNetworkUnavailable: corev1.TaintNodeNetworkUnavailable,
}

// ours are the keys of the taints that this loop puts on and takes off.
var ours = []string{
	corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable, corev1.TaintNodeUnschedulable,
	corev1.TaintNodeMemoryPressure, corev1.TaintNodeDiskPressure, corev1.TaintNodePIDPressure, corev1.TaintNodeNetworkUnavailable,
}

// taint gives a node the taints that follow from its state.
func (n *nodes) taint(d *controller.Decision, node *corev1.Node, now time.Time) {
	taints := wantedTaints(node, now)
	if equality.Semantic.DeepEqual(taints, node.Spec.Taints) {
		return
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"taints": taints}})
	if err != nil {
		panic(err) // plain data
	}
	// The whole list is replaced: not where somebody changed it in between.
	d.Patch(node, types.MergePatchType, patch).AtRevision()
}

func wantedTaints(node *corev1.Node, now time.Time) []corev1.Taint {
	var taints []corev1.Taint
	for _, t := range node.Spec.Taints {
		if !slices.Contains(ours, t.Key) {
			taints = append(taints, t)
		}
	}
	add := func(key string, effect corev1.TaintEffect) {
		t := corev1.Taint{Key: key, Effect: effect}
		i := slices.IndexFunc(node.Spec.Taints, func(have corev1.Taint) bool { return have.Key == key && have.Effect == effect })
		if i >= 0 {
			t = node.Spec.Taints[i]
		} else {
			added := metav1.NewTime(now)
			t.TimeAdded = &added
		}
		taints = append(taints, t)
	}
	ready := nodeCondition(node, corev1.NodeReady)
	switch {
	case ready != nil && ready.Status == corev1.ConditionUnknown:
		add(corev1.TaintNodeUnreachable, corev1.TaintEffectNoSchedule)
		add(corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute)
	case ready == nil:
		add(corev1.TaintNodeNotReady, corev1.TaintEffectNoSchedule)
	case ready.Status == corev1.ConditionFalse:
		add(corev1.TaintNodeNotReady, corev1.TaintEffectNoSchedule)
		add(corev1.TaintNodeNotReady, corev1.TaintEffectNoExecute)
	}
	for _, c := range node.Status.Conditions {
		if key := conditionTaints[c.Type]; key != "" && c.Status == corev1.ConditionTrue {
			add(key, corev1.TaintEffectNoSchedule)
		}
	}
	if node.Spec.Unschedulable {
		add(corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule)
	}
	return taints
}

// unreachable tells whether a node is marked as silent.
func unreachable(node *corev1.Node) bool {
	if c := nodeCondition(node, corev1.NodeReady); c != nil && c.Status == corev1.ConditionUnknown {
		return true
	}
	return slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeUnreachable })
}

// evicting returns the taints that drive pods off.
func evicting(node *corev1.Node) []corev1.Taint {
	var taints []corev1.Taint
	for _, t := range node.Spec.Taints {
		if t.Effect == corev1.TaintEffectNoExecute {
			taints = append(taints, t)
		}
	}
	return taints
}

// evict deletes pods that don't tolerate the node's taints, or not any longer.
func (n *nodes) evict(d *controller.Decision, node *corev1.Node, bound []*corev1.Pod, now time.Time) {
	taints := evicting(node)
	if len(taints) == 0 {
		return
	}
	count := 0
	for _, pod := range bound {
		if pod.DeletionTimestamp != nil {
			continue
		}
		at, leaves := leavesAt(pod, taints, now)
		switch {
		case !leaves:
		case at.After(now):
			d.Requeue(at.Sub(now))
		case count == batch:
			d.Requeue(time.Millisecond)
		default:
			count++
			d.Because("pods don't tolerate the node's taints any longer")
			d.Delete(pod)
			d.Event(pod, corev1.EventTypeNormal, "TaintManagerEviction", "Marking for deletion Pod %s/%s", pod.Namespace, pod.Name)
		}
	}
}

// leavesAt returns when a pod has to leave for a node's taints; leaves is false
// where it tolerates them for ever.
func leavesAt(pod *corev1.Pod, taints []corev1.Taint, now time.Time) (at time.Time, leaves bool) {
	for i := range taints {
		end, ends := toleratedUntil(pod, &taints[i], now)
		if ends && (!leaves || end.Before(at)) {
			at, leaves = end, true
		}
	}
	return at, leaves
}

// toleratedUntil returns when a pod's tolerance of one taint ends: the soonest
// of the tolerations that match, as in Kubernetes.
func toleratedUntil(pod *corev1.Pod, taint *corev1.Taint, now time.Time) (end time.Time, ends bool) {
	since := now
	if taint.TimeAdded != nil {
		since = taint.TimeAdded.Time
	}
	tolerated := false
	for i := range pod.Spec.Tolerations {
		t := &pod.Spec.Tolerations[i]
		if !tolerates(t, taint) {
			continue
		}
		tolerated = true
		if t.TolerationSeconds == nil {
			continue
		}
		until := since.Add(time.Duration(max(*t.TolerationSeconds, 0)) * time.Second)
		if !ends || until.Before(end) {
			end, ends = until, true
		}
	}
	if !tolerated {
		return since, true
	}
	return end, ends
}

func tolerates(t *corev1.Toleration, taint *corev1.Taint) bool {
	if t.Effect != "" && t.Effect != taint.Effect {
		return false
	}
	if t.Key != "" && t.Key != taint.Key {
		return false
	}
	switch t.Operator {
	case corev1.TolerationOpExists:
		return true
	case "", corev1.TolerationOpEqual:
		return t.Key != "" && t.Value == taint.Value
	}
	return false
}
