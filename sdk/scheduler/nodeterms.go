package scheduler

import (
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// nodeTerms is what a pod wants of its node's labels and name.
type nodeTerms struct {
	selector labels.Selector // of nodeSelector; nil for everything
	// required terms, any of which must match; hasRequired tells no wish from
	// one that nothing meets.
	required    []nodeTerm
	hasRequired bool
	preferred   []weightedNodeTerm
}

type nodeTerm struct {
	labels labels.Selector
	// names are requirements of metadata.name, the only field that the API has
	// here; all must be met.
	names []nameRequirement
	// empty terms match nothing.
	empty bool
}

// nameRequirement asks that a node's name is among some, or is not.
type nameRequirement struct {
	among []string
	not   bool
}

type weightedNodeTerm struct {
	nodeTerm
	weight int64
}

func newNodeTerms(spec *corev1.PodSpec) (nodeTerms, error) {
	var t nodeTerms
	if len(spec.NodeSelector) > 0 {
		t.selector = labels.SelectorFromSet(spec.NodeSelector)
	}
	if spec.Affinity == nil || spec.Affinity.NodeAffinity == nil {
		return t, nil
	}
	a := spec.Affinity.NodeAffinity
	if a.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		t.hasRequired = true
		for i := range a.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
			term, err := newNodeTerm(&a.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[i])
			if err != nil {
				return t, fmt.Errorf("node affinity: %w", err)
			}
			t.required = append(t.required, term)
		}
	}
	for i := range a.PreferredDuringSchedulingIgnoredDuringExecution {
		p := &a.PreferredDuringSchedulingIgnoredDuringExecution[i]
		term, err := newNodeTerm(&p.Preference)
		if err != nil {
			return t, fmt.Errorf("preferred node affinity: %w", err)
		}
		t.preferred = append(t.preferred, weightedNodeTerm{term, int64(p.Weight)})
	}
	return t, nil
}

var nodeOperators = map[corev1.NodeSelectorOperator]selection.Operator{
	corev1.NodeSelectorOpIn:           selection.In,
	corev1.NodeSelectorOpNotIn:        selection.NotIn,
	corev1.NodeSelectorOpExists:       selection.Exists,
	corev1.NodeSelectorOpDoesNotExist: selection.DoesNotExist,
	corev1.NodeSelectorOpGt:           selection.GreaterThan,
	corev1.NodeSelectorOpLt:           selection.LessThan,
}

func newNodeTerm(term *corev1.NodeSelectorTerm) (nodeTerm, error) {
	t := nodeTerm{labels: labels.NewSelector(), empty: len(term.MatchExpressions)+len(term.MatchFields) == 0}
	for _, e := range term.MatchExpressions {
		op, ok := nodeOperators[e.Operator]
		if !ok {
			return t, fmt.Errorf("operator %q is not known", e.Operator)
		}
		r, err := labels.NewRequirement(e.Key, op, e.Values)
		if err != nil {
			return t, err
		}
		t.labels = t.labels.Add(*r)
	}
	for _, e := range term.MatchFields {
		if e.Key != metav1.ObjectNameField {
			return t, fmt.Errorf("field %q can't be selected by: only %s can", e.Key, metav1.ObjectNameField)
		}
		switch e.Operator {
		case corev1.NodeSelectorOpIn:
			t.names = append(t.names, nameRequirement{among: e.Values})
		case corev1.NodeSelectorOpNotIn:
			t.names = append(t.names, nameRequirement{among: e.Values, not: true})
		default:
			return t, fmt.Errorf("operator %q is not known for fields", e.Operator)
		}
	}
	return t, nil
}

func (t *nodeTerm) matches(n *Node) bool {
	if t.empty || !t.labels.Matches(labels.Set(n.Labels)) {
		return false
	}
	for i := range t.names {
		if slices.Contains(t.names[i].among, n.Name) == t.names[i].not {
			return false
		}
	}
	return true
}

// allows tells whether a node meets everything that is required.
func (t *nodeTerms) allows(n *Node) bool {
	if t.selector != nil && !t.selector.Matches(labels.Set(n.Labels)) {
		return false
	}
	if !t.hasRequired {
		return true
	}
	for i := range t.required {
		if t.required[i].matches(n) {
			return true
		}
	}
	return false
}

// tolerated tells whether one of the tolerations covers a taint.
// https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
func tolerated(taint *corev1.Taint, tolerations []corev1.Toleration) bool {
	for i := range tolerations {
		if tolerates(&tolerations[i], taint) {
			return true
		}
	}
	return false
}

func tolerates(t *corev1.Toleration, taint *corev1.Taint) bool {
	if t.Effect != "" && t.Effect != taint.Effect {
		return false
	}
	if t.Key != "" && t.Key != taint.Key {
		return false
	}
	switch t.Operator {
	case "", corev1.TolerationOpEqual:
		return t.Value == taint.Value && t.Key != ""
	case corev1.TolerationOpExists:
		return true
	case corev1.TolerationOpLt, corev1.TolerationOpGt:
		want, err := strconv.ParseInt(t.Value, 10, 64)
		have, err2 := strconv.ParseInt(taint.Value, 10, 64)
		if err != nil || err2 != nil {
			return false
		}
		if t.Operator == corev1.TolerationOpLt {
			return have < want
		}
		return have > want
	}
	return false
}

func sameNode(a, b *Node) bool {
	return a.Unschedulable == b.Unschedulable && a.MaxPods == b.MaxPods &&
		labels.Equals(a.Labels, b.Labels) && sameTaints(a.Taints, b.Taints) && sameResources(&a.Allocatable, &b.Allocatable)
}

func sameTaints(a, b []corev1.Taint) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Key != b[i].Key || a[i].Value != b[i].Value || a[i].Effect != b[i].Effect {
			return false
		}
	}
	return true
}

func sameResources(a, b *Resources) bool {
	if a.MilliCPU != b.MilliCPU || a.Memory != b.Memory || a.EphemeralStorage != b.EphemeralStorage || len(a.Extended) != len(b.Extended) {
		return false
	}
	for name, n := range a.Extended {
		if b.Extended[name] != n {
			return false
		}
	}
	return true
}
