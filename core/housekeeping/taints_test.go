package housekeeping

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestWhenAPodLeaves(t *testing.T) {
	since := metav1.NewTime(now.Add(-time.Minute))
	unreachable := corev1.Taint{Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoExecute, TimeAdded: &since}
	custom := corev1.Taint{Key: "gpu", Value: "yes", Effect: corev1.TaintEffectNoExecute}
	exists := func(key string, seconds *int64) corev1.Toleration {
		return corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, TolerationSeconds: seconds}
	}
	for _, tt := range []struct {
		name        string
		tolerations []corev1.Toleration
		taints      []corev1.Taint
		leaves      bool
		after       time.Duration // from now
	}{
		{"tolerates nothing", nil, []corev1.Taint{unreachable}, true, -time.Minute},
		{"for a time", []corev1.Toleration{exists(unreachable.Key, ptr.To[int64](300))}, []corev1.Taint{unreachable}, true, 4 * time.Minute},
		{"for ever", []corev1.Toleration{exists(unreachable.Key, nil)}, []corev1.Taint{unreachable}, false, 0},
		{"everything", []corev1.Toleration{exists("", nil)}, []corev1.Taint{unreachable, custom}, false, 0},
		{"the shortest of several", []corev1.Toleration{exists(unreachable.Key, ptr.To[int64](300)), exists("", ptr.To[int64](90))}, []corev1.Taint{unreachable}, true, 30 * time.Second},
		{"one of two taints", []corev1.Toleration{exists(unreachable.Key, nil)}, []corev1.Taint{unreachable, custom}, true, 0},
		{"another effect", []corev1.Toleration{{Key: unreachable.Key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}}, []corev1.Taint{unreachable}, true, -time.Minute},
		{"equal value", []corev1.Toleration{{Key: "gpu", Value: "yes"}}, []corev1.Taint{custom}, false, 0},
		{"other value", []corev1.Toleration{{Key: "gpu", Value: "no"}}, []corev1.Taint{custom}, true, 0},
		{"no time at all", []corev1.Toleration{exists(unreachable.Key, ptr.To[int64](-5))}, []corev1.Taint{unreachable}, true, -time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{Tolerations: tt.tolerations}}
			at, leaves := leavesAt(pod, tt.taints, now)
			if leaves != tt.leaves || (leaves && !at.Equal(now.Add(tt.after))) {
				t.Errorf("leaves %t at %s", leaves, at.Sub(now))
			}
		})
	}
}

func TestTaintsFollowFromTheState(t *testing.T) {
	ready := func(s corev1.ConditionStatus) []corev1.NodeCondition {
		return []corev1.NodeCondition{{Type: corev1.NodeReady, Status: s}}
	}
	own := corev1.Taint{Key: "mine", Effect: corev1.TaintEffectNoSchedule}
	old := metav1.NewTime(now.Add(-time.Hour))
	for _, tt := range []struct {
		name          string
		conditions    []corev1.NodeCondition
		unschedulable bool
		want          string
	}{
		{"ready", ready(corev1.ConditionTrue), false, "mine:NoSchedule "},
		{"never heard of", nil, false, "mine:NoSchedule not-ready:NoSchedule "},
		{"not ready", ready(corev1.ConditionFalse), false, "mine:NoSchedule not-ready:NoSchedule not-ready:NoExecute "},
		{"silent", ready(corev1.ConditionUnknown), false, "mine:NoSchedule unreachable:NoSchedule unreachable:NoExecute "},
		{"cordoned", ready(corev1.ConditionTrue), true, "mine:NoSchedule unschedulable:NoSchedule "},
		{"short of disk", append(ready(corev1.ConditionTrue), corev1.NodeCondition{Type: corev1.NodeDiskPressure, Status: corev1.ConditionTrue}), false, "mine:NoSchedule disk-pressure:NoSchedule "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			node := &corev1.Node{
				Spec: corev1.NodeSpec{Unschedulable: tt.unschedulable, Taints: []corev1.Taint{
					own, {Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoExecute, TimeAdded: &old},
				}},
				Status: corev1.NodeStatus{Conditions: tt.conditions},
			}
			got := ""
			for _, taint := range wantedTaints(node, now) {
				key := taint.Key
				if len(key) > len("node.kubernetes.io/") {
					key = key[len("node.kubernetes.io/"):]
				}
				got += key + ":" + string(taint.Effect) + " "
				if taint.Key == corev1.TaintNodeUnreachable && taint.Effect == corev1.TaintEffectNoExecute && !taint.TimeAdded.Equal(&old) {
					t.Error("the time that a taint was added was lost")
				}
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
