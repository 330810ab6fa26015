package scheduler

import (
	"math"
	"slices"

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

// load is what a pod is taken to use, in thousandths of a core and bytes: what
// it asked for and, where that is nothing, what Kubernetes takes for it, so that
// such pods spread or pack too.
type load struct{ milliCPU, memory int64 }

const (
	assumedMilliCPU = 100
	assumedMemory   = 200 << 20
)

func (r *Resources) load() load {
	l := load{r.MilliCPU, r.Memory}
	if l.milliCPU == 0 {
		l.milliCPU = assumedMilliCPU
	}
	if l.memory == 0 {
		l.memory = assumedMemory
	}
	return l
}

// fractions of cpu and memory in use with the pod on the node.
func fractions(pod *Pod, node *Node) (cpu, memory float64) {
	part := func(used, total int64) float64 {
		if total <= 0 {
			return 1
		}
		return min(1, float64(used)/float64(total))
	}
	return part(node.load.milliCPU+pod.load.milliCPU, node.Allocatable.MilliCPU), part(node.load.memory+pod.load.memory, node.Allocatable.Memory)
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
type PreferredPods struct {
	// sums by topology label and its value.
	sums map[string]map[string]int64
}

// Prepare implements Preparer.
func (p *PreferredPods) Prepare(pod *Pod, _ []*Node, view *Snapshot) {
	p.sums = map[string]map[string]int64{}
	add := func(t *podTerm, node *Node, weight int64) {
		value, ok := node.Labels[t.topology]
		if !ok {
			return
		}
		if p.sums[t.topology] == nil {
			p.sums[t.topology] = map[string]int64{}
		}
		p.sums[t.topology][value] += weight
	}
	for _, other := range view.withTerms {
		node := view.Node(other.Node)
		if node == nil {
			continue
		}
		for i := range other.preferred {
			if t := &other.preferred[i]; t.podTerm.matches(pod, view) {
				add(&t.podTerm, node, t.weight)
			}
		}
		// Who needs such a pod beside it is glad of one more.
		for i := range other.affinity {
			if t := &other.affinity[i]; t.matches(pod, view) {
				add(t, node, 1)
			}
		}
	}
	if len(pod.preferred) == 0 {
		return
	}
	for _, node := range view.order {
		for _, other := range node.Pods {
			for i := range pod.preferred {
				if t := &pod.preferred[i]; t.podTerm.matches(other, view) {
					add(&t.podTerm, node, t.weight)
				}
			}
		}
	}
}

// Score implements Score.
func (p *PreferredPods) Score(_ *Pod, node *Node) int64 {
	var sum int64
	for key, sums := range p.sums {
		if value, ok := node.Labels[key]; ok {
			sum += sums[value]
		}
	}
	return sum
}

// PreferredSpread prefers the domains with the fewest matching pods, for the
// constraints that are wishes.
type PreferredSpread struct{ wishes []spreadWish }

// spreadWish is a constraint as it is rated: each pod in a domain costs the
// more, the more domains there are, so that a constraint over zones is not
// drowned by one over nodes. A node in no domain costs more than any in one.
type spreadWish struct {
	topology        string
	counts          map[string]int
	weight, nowhere float64
}

// spreadScale keeps the fractions of weights in whole figures.
const spreadScale = 100

// Prepare implements Preparer.
func (p *PreferredSpread) Prepare(pod *Pod, _ []*Node, view *Snapshot) {
	p.wishes = p.wishes[:0]
	for i := range pod.spread {
		t := &pod.spread[i]
		if t.hard {
			continue
		}
		w := spreadWish{topology: t.topology, counts: view.countDomains(pod, t, false)}
		w.weight = math.Log(float64(len(w.counts) + 2))
		most := 0
		for _, n := range w.counts {
			most = max(most, n)
		}
		w.nowhere = float64(most+1) * w.weight
		p.wishes = append(p.wishes, w)
	}
}

// Score implements Score.
func (p *PreferredSpread) Score(_ *Pod, node *Node) int64 {
	var cost float64
	for i := range p.wishes {
		w := &p.wishes[i]
		if value, ok := node.Labels[w.topology]; ok {
			cost += float64(w.counts[value]) * w.weight
		} else {
			cost += w.nowhere
		}
	}
	return -int64(math.Round(cost * spreadScale))
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
		return len(pod.preferred) > 0 || len(view.withTerms) > 0
	case *PreferredSpread:
		return slices.ContainsFunc(pod.spread, func(t spreadTerm) bool { return !t.hard })
	case OwnerSpread:
		return pod.Owner != ""
	}
	return true
}
