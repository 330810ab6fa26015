package main

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pintle-io/pintle/sdk/controller"
)

// related returns the active pods of everything that shares the workload's
// controller (the ReplicaSets of one Deployment), its own among them.
func related(view controller.View, w *workload) []*corev1.Pod {
	mine, _ := w.owned(view)
	parent := metav1.GetControllerOfNoCopy(w.object)
	if parent == nil {
		return mine
	}
	for _, sibling := range workloads(view, w.object.GetNamespace()) {
		if sibling.object.GetUID() == w.object.GetUID() {
			continue
		}
		if other := metav1.GetControllerOfNoCopy(sibling.object); other == nil || other.UID != parent.UID {
			continue
		}
		pods, _ := sibling.owned(view)
		mine = append(mine, pods...)
	}
	return mine
}

// rank orders pods by who is to be deleted first, by the rules of Kubernetes'
// ActivePodsWithRanks: without a node before with one; pending, unknown,
// running; not ready before ready; lower deletion cost first; on a node with
// more related pods first; ready for less long first, on a logarithmic scale;
// restarted more often first; younger first, on the same scale.
func (w *workload) rank(pods, related []*corev1.Pod, now time.Time) []*corev1.Pod {
	onNode := map[string]int{}
	for _, pod := range related {
		if pod.Spec.NodeName != "" {
			onNode[pod.Spec.NodeName]++
		}
	}
	ranked := slices.Clone(pods)
	slices.SortStableFunc(ranked, func(a, b *corev1.Pod) int {
		return cmp.Or(
			cmp.Compare(min(len(a.Spec.NodeName), 1), min(len(b.Spec.NodeName), 1)),
			cmp.Compare(phaseRank(a), phaseRank(b)),
			compareBool(ready(a), ready(b)),
			cmp.Compare(deletionCost(a), deletionCost(b)),
			cmp.Compare(onNode[b.Spec.NodeName], onNode[a.Spec.NodeName]),
			compareReadySince(a, b, now),
			-cmp.Compare(restarts(a), restarts(b)),
			compareAge(a.CreationTimestamp, b.CreationTimestamp, now),
			cmp.Compare(a.UID, b.UID),
		)
	})
	return ranked
}

func phaseRank(pod *corev1.Pod) int {
	switch pod.Status.Phase {
	case corev1.PodPending:
		return 0
	case corev1.PodUnknown:
		return 1
	case corev1.PodRunning:
		return 2
	}
	return 0
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// deletionCost is 0 where the annotation is not there or no number.
func deletionCost(pod *corev1.Pod) int32 {
	cost, err := strconv.ParseInt(pod.Annotations["controller.kubernetes.io/pod-deletion-cost"], 10, 32)
	if err != nil {
		return 0
	}
	return int32(cost)
}

func compareReadySince(a, b *corev1.Pod, now time.Time) int {
	if !ready(a) || !ready(b) {
		return 0
	}
	return compareAge(readySince(a), readySince(b), now)
}

// compareAge puts the younger first, and one without a time before all. Ages
// of the same order of magnitude are the same, so that which pods go is spread
// at random over zones and nodes that filled one after the other.
func compareAge(a, b metav1.Time, now time.Time) int {
	switch {
	case a.Equal(&b):
		return 0
	case a.IsZero():
		return -1
	case b.IsZero():
		return 1
	}
	return cmp.Compare(magnitude(now.Sub(a.Time)), magnitude(now.Sub(b.Time)))
}

func magnitude(age time.Duration) int64 {
	if age <= 0 {
		return -1
	}
	return int64(math.Log2(float64(age)))
}

// restarts is the highest count of a container.
func restarts(pod *corev1.Pod) int32 {
	var most int32
	for i := range pod.Status.ContainerStatuses {
		most = max(most, pod.Status.ContainerStatuses[i].RestartCount)
	}
	return most
}
