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

// spreadingOf looks at the constraints that must hold. The soft ones have no
// counts.
func (s *Snapshot) spreadingOf(pod *Pod) *spreading {
	sp := &spreading{counts: make([]map[string]int, len(pod.spread)), least: make([]int, len(pod.spread))}
	for i := range pod.spread {
		t := &pod.spread[i]
		if !t.hard {
			continue
		}
		counts := s.countDomains(pod, t, true)
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

// countDomains counts the pods that match a constraint in each of its domains.
// Nodes count that have the labels of all the pod's constraints that are as
// hard as this one: those alone can be chosen.
func (s *Snapshot) countDomains(pod *Pod, t *spreadTerm, hard bool) map[string]int {
	counts := map[string]int{}
	for _, node := range s.order {
		if !inDomains(pod, node, hard) || !t.counts(pod, node) {
			continue
		}
		n := 0
		for _, other := range node.Pods {
			if t.matches(pod, other) {
				n++
			}
		}
		counts[node.Labels[t.topology]] += n
	}
	return counts
}

func inDomains(pod *Pod, node *Node, hard bool) bool {
	for i := range pod.spread {
		if t := &pod.spread[i]; t.hard == hard {
			if _, ok := node.Labels[t.topology]; !ok {
				return false
			}
		}
	}
	return true
}

// matches tells whether a placed pod counts for a constraint of pod's.
func (t *spreadTerm) matches(pod, placed *Pod) bool {
	return placed.Namespace == pod.Namespace && !placed.terminating && t.selector.Matches(labels.Set(placed.Labels))
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
