package scheduler

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

type podChange = func(*corev1.Pod)

func nodeWith(name string, change ...func(*corev1.Node)) *corev1.Node {
	n := testNode(name, "4", 10)
	for _, c := range change {
		c(n)
	}
	return n
}

func label(key, value string) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Labels[key] = value }
}

func zone(name string) func(*corev1.Node) { return label("zone", name) }

func taint(key, value string, effect corev1.TaintEffect) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Value: value, Effect: effect})
	}
}

func on(node string) podChange { return func(p *corev1.Pod) { p.Spec.NodeName = node } }

func app(name string) podChange {
	return func(p *corev1.Pod) {
		if p.Labels == nil {
			p.Labels = map[string]string{}
		}
		p.Labels["app"] = name
	}
}

func in(namespace string) podChange { return func(p *corev1.Pod) { p.Namespace = namespace } }

func going(p *corev1.Pod) { now := metav1.Now(); p.DeletionTimestamp = &now }

func about(name, topology string) corev1.PodAffinityTerm {
	return corev1.PodAffinityTerm{TopologyKey: topology, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}}
}

func affinityOf(p *corev1.Pod) *corev1.Affinity {
	if p.Spec.Affinity == nil {
		p.Spec.Affinity = &corev1.Affinity{}
	}
	return p.Spec.Affinity
}

func beside(terms ...corev1.PodAffinityTerm) podChange {
	return func(p *corev1.Pod) {
		affinityOf(p).PodAffinity = &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: terms}
	}
}

func apart(terms ...corev1.PodAffinityTerm) podChange {
	return func(p *corev1.Pod) {
		affinityOf(p).PodAntiAffinity = &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: terms}
	}
}

func onNodes(terms ...corev1.NodeSelectorTerm) podChange {
	return func(p *corev1.Pod) {
		affinityOf(p).NodeAffinity = &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms}}
	}
}

func expression(key string, op corev1.NodeSelectorOperator, values ...string) corev1.NodeSelectorRequirement {
	return corev1.NodeSelectorRequirement{Key: key, Operator: op, Values: values}
}

func tolerating(all ...corev1.Toleration) podChange {
	return func(p *corev1.Pod) { p.Spec.Tolerations = all }
}

func spreadOver(topology string, change ...func(*corev1.TopologySpreadConstraint)) podChange {
	return func(p *corev1.Pod) {
		c := corev1.TopologySpreadConstraint{
			MaxSkew: 1, TopologyKey: topology, WhenUnsatisfiable: corev1.DoNotSchedule,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": p.Labels["app"]}},
		}
		for _, f := range change {
			f(&c)
		}
		p.Spec.TopologySpreadConstraints = append(p.Spec.TopologySpreadConstraints, c)
	}
}

func softly(c *corev1.TopologySpreadConstraint) { c.WhenUnsatisfiable = corev1.ScheduleAnyway }

func list(pairs ...string) corev1.ResourceList {
	l := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		l[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return l
}

func requesting(pairs ...string) podChange {
	return func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Requests = list(pairs...) }
}

// viewOf is a snapshot of nodes, placed pods and namespaces.
func viewOf(objects ...any) *Snapshot {
	s := NewSnapshot()
	for _, o := range objects {
		switch o := o.(type) {
		case *corev1.Node:
			s.setNode(o)
		case *corev1.Pod:
			s.put(newPod(o))
		case *corev1.Namespace:
			s.setNamespace(o.Name, o.Labels)
		}
	}
	return s
}

// verdicts asks the filters about every node: "node: reason; ..." by name, with
// "ok" for a node that fits.
func verdicts(pod *Pod, view *Snapshot, filters ...Filter) string {
	d := decider{profile: Profile{Filters: filters}, view: view}
	near, spread := view.neighboursOf(pod), view.spreadingOf(pod)
	var lines []string
	for _, node := range view.order {
		reasons := map[string]int{}
		d.check(pod, node, near, spread, reasons)
		why := "ok"
		if len(reasons) > 0 {
			why = strings.Join(slices.Sorted(maps.Keys(reasons)), ", ")
		}
		lines = append(lines, node.Name+": "+why)
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

// filterCase is a pod, a cluster and what every node is to say.
type filterCase struct {
	name    string
	cluster []any
	pod     []podChange
	want    string
}

func testFilters(t *testing.T, cases []filterCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			pod := newPod(testPod("p", "1", c.pod...))
			if pod.unreadable != nil {
				t.Fatal(pod.unreadable)
			}
			if got := verdicts(pod, viewOf(c.cluster...)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
