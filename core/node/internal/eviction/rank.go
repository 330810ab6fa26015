package eviction

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	helper "k8s.io/component-helpers/resource"
)

// systemCritical is the priority from which pods are never evicted, as
// Kubernetes reserves it for the system.
const systemCritical = 2_000_000_000

// Usage of a pod in bytes.
type Usage struct{ Memory, Disk uint64 }

// Rank orders the pods that may be evicted, the first to go first: those over
// their requests, by priority, then by how far they are over.
func Rank(pods []*corev1.Pod, kind Kind, usage func(*corev1.Pod) Usage) []*corev1.Pod {
	var out []*corev1.Pod
	over := map[*corev1.Pod]int64{}
	for _, p := range pods {
		if p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed || priority(p) >= systemCritical {
			continue
		}
		requests := helper.PodRequests(p, helper.PodResourcesOptions{})
		u := usage(p)
		switch kind {
		case Memory:
			over[p] = int64(u.Memory) - requests.Memory().Value()
		case Disk, Inodes:
			over[p] = int64(u.Disk) - requests.StorageEphemeral().Value()
		}
		out = append(out, p)
	}
	slices.SortStableFunc(out, func(a, b *corev1.Pod) int {
		return cmp.Or(
			-cmp.Compare(sign(over[a]), sign(over[b])),
			cmp.Compare(priority(a), priority(b)),
			cmp.Compare(over[b], over[a]),
		)
	})
	return out
}

func sign(n int64) int {
	if n > 0 {
		return 1
	}
	return 0
}

func priority(p *corev1.Pod) int32 {
	if p.Spec.Priority != nil {
		return *p.Spec.Priority
	}
	return 0
}
