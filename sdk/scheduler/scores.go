package scheduler

import (
	"math"

	corev1 "k8s.io/api/core/v1"
)

// LeastAllocated prefers nodes with the most cpu and memory left over.
type LeastAllocated struct{}

// Score implements Score.
func (LeastAllocated) Score(pod *Pod, node *Node) int64 { return MaxScore - allocated(pod, node) }

// Absolute implements Absolute.
func (LeastAllocated) Absolute() {}

// MostAllocated prefers nodes with the least cpu and memory left over.
type MostAllocated struct{}

// Score implements Score.
func (MostAllocated) Score(pod *Pod, node *Node) int64 { return allocated(pod, node) }

// Absolute implements Absolute.
func (MostAllocated) Absolute() {}

// Pods that ask for nothing are counted with what Kubernetes takes for them,
// so that they spread or pack too.
const (
	assumedMilliCPU = 100
	assumedMemory   = 200 << 20
)

// fractions of cpu and memory in use with the pod on the node.
func fractions(pod *Pod, node *Node) (cpu, memory float64) {
	c, m := pod.Requests.MilliCPU, pod.Requests.Memory
	if c == 0 {
		c = assumedMilliCPU
	}
	if m == 0 {
		m = assumedMemory
	}
	part := func(used, total int64) float64 {
		if total <= 0 {
			return 1
		}
		return min(1, float64(used)/float64(total))
	}
	return part(node.Requested.MilliCPU+c, node.Allocatable.MilliCPU), part(node.Requested.Memory+m, node.Allocatable.Memory)
}

func allocated(pod *Pod, node *Node) int64 {
	cpu, memory := fractions(pod, node)
	return int64((cpu + memory) / 2 * MaxScore)
}

// BalancedAllocation prefers nodes whose cpu and memory are used alike.
type BalancedAllocation struct{}

// Score implements Score.
func (BalancedAllocation) Score(pod *Pod, node *Node) int64 {
	cpu, memory := fractions(pod, node)
	return int64((1 - math.Abs(cpu-memory)/2) * MaxScore)
}

// Absolute implements Absolute.
func (BalancedAllocation) Absolute() {}

// OwnerSpread prefers nodes with fewer pods of the same owner.
type OwnerSpread struct{}

// Score implements Score.
func (OwnerSpread) Score(pod *Pod, node *Node) int64 { return -int64(node.OwnedBy(pod)) }

// PreferredTaints prefers nodes with fewer PreferNoSchedule taints that the pod
// does not tolerate.
type PreferredTaints struct{}

// Score implements Score.
func (PreferredTaints) Score(pod *Pod, node *Node) int64 {
	var n int64
	for i := range node.Taints {
		if t := &node.Taints[i]; t.Effect == corev1.TaintEffectPreferNoSchedule && !tolerated(t, pod.Spec.Tolerations) {
			n--
		}
	}
	return n
}

// PreferredNodes adds up the weights of the preferred node affinity terms.
type PreferredNodes struct{}

// Score implements Score.
func (PreferredNodes) Score(pod *Pod, node *Node) int64 {
	var sum int64
	for i := range pod.node.preferred {
		if t := &pod.node.preferred[i]; t.matches(node) {
			sum += t.weight
		}
	}
	return sum
}

// PreferredPods adds up what the pod's preferred affinity terms, and those of
// the pods that are there, say of a place.
type PreferredPods struct{ sums map[place]int64 }

// Prepare implements Preparer.
func (p *PreferredPods) Prepare(pod *Pod, _ []*Node, view *Snapshot) {
	p.sums = nil
	if len(pod.preferred) == 0 && view.withTerms == 0 {
		return
	}
	p.sums = map[place]int64{}
	for _, node := range view.order {
		add := func(t *podTerm, weight int64) {
			if value, ok := node.Labels[t.topology]; ok {
				p.sums[place{t.topology, value}] += weight
			}
		}
		for _, other := range node.withPreferred {
			for i := range other.preferred {
				if t := &other.preferred[i]; t.podTerm.matches(pod, view) {
					add(&t.podTerm, t.weight)
				}
			}
			// Who needs such a pod beside it is glad of one more.
			for i := range other.affinity {
				if t := &other.affinity[i]; t.matches(pod, view) {
					add(t, 1)
				}
			}
		}
		if len(pod.preferred) == 0 {
			continue
		}
		for _, other := range node.Pods {
			for i := range pod.preferred {
				if t := &pod.preferred[i]; t.podTerm.matches(other, view) {
					add(&t.podTerm, t.weight)
				}
			}
		}
	}
}

// Score implements Score.
func (p *PreferredPods) Score(_ *Pod, node *Node) int64 {
	var sum int64
	for at, n := range p.sums {
		if value, ok := node.Labels[at.key]; ok && value == at.value {
			sum += n
		}
	}
	return sum
}

// PreferredSpread prefers the domains with the fewest matching pods, for the
// constraints that are wishes.
type PreferredSpread struct{ counts []map[string]int }

// Prepare implements Preparer.
func (p *PreferredSpread) Prepare(pod *Pod, _ []*Node, view *Snapshot) {
	p.counts = nil
	for i := range pod.spread {
		if !pod.spread[i].hard {
			p.counts = view.spreadingOf(pod).counts
			return
		}
	}
}

// Score implements Score.
func (p *PreferredSpread) Score(pod *Pod, node *Node) int64 {
	var sum int64
	for i := range p.counts {
		if t := &pod.spread[i]; !t.hard {
			if value, ok := node.Labels[t.topology]; ok {
				sum -= int64(p.counts[i][value])
			} else {
				sum -= int64(len(node.Pods)) + math.MaxInt16
			}
		}
	}
	return sum
}

// Wishes are the scores that honour what pods themselves prefer; every profile
// should have them.
func Wishes() []Weighted {
	return []Weighted{
		{PreferredTaints{}, 3}, {PreferredNodes{}, 2}, {&PreferredPods{}, 2}, {&PreferredSpread{}, 2},
	}
}

// wished tells whether a built-in wish can differ between nodes for this pod at
// all; where not, rating is left out.
func wished(score Score, pod *Pod, view *Snapshot) bool {
	switch score.(type) {
	case PreferredNodes:
		return len(pod.node.preferred) > 0
	case *PreferredPods:
		return len(pod.preferred) > 0 || view.withTerms > 0
	case *PreferredSpread:
		return len(pod.spread) > 0
	case OwnerSpread:
		return pod.Owner != ""
	}
	return true
}
