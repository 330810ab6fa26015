package scheduler

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// podTerm names other pods, and the label whose values make nodes one place.
type podTerm struct {
	namespaces  []string
	inNamespace labels.Selector // of namespaces' labels; nil for none
	selector    labels.Selector
	topology    string
}

type weightedTerm struct {
	podTerm
	weight int64 // negative for what is to be kept away from
}

func podTerms(p *corev1.Pod, terms []corev1.PodAffinityTerm) ([]podTerm, error) {
	var all []podTerm
	for i := range terms {
		t, err := newPodTerm(p, &terms[i])
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

func newPodTerm(p *corev1.Pod, t *corev1.PodAffinityTerm) (podTerm, error) {
	sel, err := selectorOf(t.LabelSelector, p.Labels, t.MatchLabelKeys, t.MismatchLabelKeys)
	if err != nil {
		return podTerm{}, err
	}
	term := podTerm{selector: sel, topology: t.TopologyKey, namespaces: t.Namespaces}
	if t.NamespaceSelector != nil {
		if term.inNamespace, err = metav1.LabelSelectorAsSelector(t.NamespaceSelector); err != nil {
			return podTerm{}, err
		}
	} else if len(t.Namespaces) == 0 {
		term.namespaces = []string{p.Namespace}
	}
	return term, nil
}

func (p *Pod) prefer(from *corev1.Pod, terms []corev1.WeightedPodAffinityTerm, sign int64) error {
	for i := range terms {
		t, err := newPodTerm(from, &terms[i].PodAffinityTerm)
		if err != nil {
			return err
		}
		p.preferred = append(p.preferred, weightedTerm{t, sign * int64(terms[i].Weight)})
	}
	return nil
}

func (t *podTerm) matches(p *Pod, s *Snapshot) bool {
	if !slices.Contains(t.namespaces, p.Namespace) && (t.inNamespace == nil || !t.inNamespace.Matches(s.namespaces[p.Namespace])) {
		return false
	}
	return t.selector.Matches(labels.Set(p.Labels))
}

// neighbours is what the placed pods mean for one waiting pod, worked out once
// for all nodes.
type neighbours struct {
	// wanted counts, by place, the pods that match each required term; a term
	// that no pod in the cluster matches but the pod itself is met anywhere.
	wanted  []map[string]int
	first   bool
	avoided []map[string]int
	// forbidden are the places that a placed pod keeps for itself: by topology
	// label, its values.
	forbidden map[string]map[string]bool
}

func (s *Snapshot) neighboursOf(pod *Pod) *neighbours {
	n := &neighbours{}
	for _, other := range s.withAnti {
		node := s.Node(other.Node)
		if node == nil {
			continue
		}
		for i := range other.anti {
			t := &other.anti[i]
			if value, ok := node.Labels[t.topology]; ok && t.matches(pod, s) {
				n.forbid(t.topology, value)
			}
		}
	}
	if len(pod.affinity) > 0 {
		n.wanted = s.countMatches(pod.affinity, true)
		n.first = !slices.ContainsFunc(n.wanted, func(m map[string]int) bool { return len(m) > 0 })
		for i := range pod.affinity {
			n.first = n.first && pod.affinity[i].matches(pod, s)
		}
	}
	if len(pod.anti) > 0 {
		n.avoided = s.countMatches(pod.anti, false)
	}
	return n
}

func (n *neighbours) forbid(key, value string) {
	if n.forbidden == nil {
		n.forbidden = map[string]map[string]bool{}
	}
	if n.forbidden[key] == nil {
		n.forbidden[key] = map[string]bool{}
	}
	n.forbidden[key][value] = true
}

// countMatches counts placed pods by the value of each term's topology label.
// With all set, only pods that match every term count.
func (s *Snapshot) countMatches(terms []podTerm, all bool) []map[string]int {
	counts := make([]map[string]int, len(terms))
	for i := range counts {
		counts[i] = map[string]int{}
	}
	matched := make([]bool, len(terms))
	for _, node := range s.order {
		for _, other := range node.Pods {
			every := true
			for i := range terms {
				matched[i] = terms[i].matches(other, s)
				every = every && matched[i]
			}
			for i := range terms {
				if value, ok := node.Labels[terms[i].topology]; ok && matched[i] && (every || !all) {
					counts[i][value]++
				}
			}
		}
	}
	return counts
}

// check returns why the pod can't be on the node for the sake of other pods.
func (n *neighbours) check(pod *Pod, node *Node) string {
	for i := range pod.affinity {
		value, ok := node.Labels[pod.affinity[i].topology]
		if !ok || (n.wanted[i][value] == 0 && !n.first) {
			return reasonAffinity
		}
	}
	for i := range pod.anti {
		if value, ok := node.Labels[pod.anti[i].topology]; ok && n.avoided[i][value] > 0 {
			return reasonAntiAffinity
		}
	}
	for key, values := range n.forbidden {
		if value, ok := node.Labels[key]; ok && values[value] {
			return reasonOthersAntiAffinity
		}
	}
	return ""
}
