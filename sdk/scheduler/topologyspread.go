package scheduler

import (
	"fmt"
	"math"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// spreadTerm is one topology spread constraint.
// https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
type spreadTerm struct {
	topology   string
	maxSkew    int
	minDomains int
	hard       bool
	selector   labels.Selector
	// honourAffinity and honourTaints leave nodes out of the count that the pod
	// could not go to anyway.
	honourAffinity, honourTaints bool
	self                         int
}

func spreadTerms(p *corev1.Pod) ([]spreadTerm, error) {
	var terms []spreadTerm
	for i := range p.Spec.TopologySpreadConstraints {
		c := &p.Spec.TopologySpreadConstraints[i]
		sel, err := selectorOf(c.LabelSelector, p.Labels, c.MatchLabelKeys, nil)
		if err != nil {
			return nil, fmt.Errorf("topology spread constraint: %w", err)
		}
		t := spreadTerm{
			topology: c.TopologyKey, maxSkew: int(c.MaxSkew), minDomains: 1, hard: c.WhenUnsatisfiable == corev1.DoNotSchedule,
			selector:       sel,
			honourAffinity: c.NodeAffinityPolicy == nil || *c.NodeAffinityPolicy == corev1.NodeInclusionPolicyHonor,
			honourTaints:   c.NodeTaintsPolicy != nil && *c.NodeTaintsPolicy == corev1.NodeInclusionPolicyHonor,
		}
		if c.MinDomains != nil {
			t.minDomains = int(*c.MinDomains)
		}
		if sel.Matches(labels.Set(p.Labels)) {
			t.self = 1
		}
		terms = append(terms, t)
	}
	return terms, nil
}

// spreading is, for each constraint, how many pods match in each domain.
type spreading struct {
	counts []map[string]int
	least  []int
}

func (s *Snapshot) spreadingOf(pod *Pod) *spreading {
	sp := &spreading{counts: make([]map[string]int, len(pod.spread)), least: make([]int, len(pod.spread))}
	for i := range pod.spread {
		t := &pod.spread[i]
		counts := map[string]int{}
		for _, node := range s.order {
			value, ok := node.Labels[t.topology]
			if !ok || !t.counts(pod, node) {
				continue
			}
			n := 0
			for _, other := range node.Pods {
				if other.Namespace == pod.Namespace && !other.terminating && t.selector.Matches(labels.Set(other.Labels)) {
					n++
				}
			}
			counts[value] += n
		}
		least := math.MaxInt
		for _, n := range counts {
			least = min(least, n)
		}
		if len(counts) < t.minDomains || least == math.MaxInt {
			least = 0
		}
		sp.counts[i], sp.least[i] = counts, least
	}
	return sp
}

// counts tells whether a node is one of those that the pods are spread over.
func (t *spreadTerm) counts(pod *Pod, node *Node) bool {
	if t.honourAffinity && !pod.node.allows(node) {
		return false
	}
	return !t.honourTaints || untolerated(pod, node) == nil
}

func (sp *spreading) check(pod *Pod, node *Node) string {
	for i := range pod.spread {
		t := &pod.spread[i]
		if !t.hard {
			continue
		}
		value, ok := node.Labels[t.topology]
		if !ok {
			return reasonSpreadLabel
		}
		if sp.counts[i][value]+t.self-sp.least[i] > t.maxSkew {
			return reasonSpread
		}
	}
	return ""
}
