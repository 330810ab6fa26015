package scheduler

import (
	"fmt"
	"math"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// scored returns the figures of a score for the nodes, by name, as they are
// before or, with scale, after they are brought to scale.
func scored(score Score, pod *Pod, view *Snapshot, scale bool) string {
	nodes := slices.SortedFunc(slices.Values(view.Nodes()), func(a, b *Node) int { return int(a.Name[0]) - int(b.Name[0]) })
	if p, ok := score.(Preparer); ok {
		p.Prepare(pod, nodes, view)
	}
	var figures []int64
	for _, n := range nodes {
		figures = append(figures, score.Score(pod, n))
	}
	if scale {
		toScale(figures)
	}
	return fmt.Sprint(figures)
}

func preferring(weight int32, term corev1.NodeSelectorTerm) podChange {
	return func(p *corev1.Pod) {
		a := affinityOf(p)
		if a.NodeAffinity == nil {
			a.NodeAffinity = &corev1.NodeAffinity{}
		}
		a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution = append(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution,
			corev1.PreferredSchedulingTerm{Weight: weight, Preference: term})
	}
}

func likes(weight int32, term corev1.PodAffinityTerm) podChange {
	return func(p *corev1.Pod) {
		affinityOf(p).PodAffinity = &corev1.PodAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{Weight: weight, PodAffinityTerm: term}}}
	}
}

func dislikes(weight int32, term corev1.PodAffinityTerm) podChange {
	return func(p *corev1.Pod) {
		affinityOf(p).PodAntiAffinity = &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{Weight: weight, PodAffinityTerm: term}}}
	}
}

func owned(uid types.UID) podChange {
	return func(p *corev1.Pod) {
		yes := true
		p.OwnerReferences = []metav1.OwnerReference{{UID: "x"}, {UID: uid, Controller: &yes}}
	}
}

func TestScores(t *testing.T) {
	has := func(key string) corev1.NodeSelectorTerm {
		return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{expression(key, corev1.NodeSelectorOpExists)}}
	}
	half := testPod("half", "2", requesting("cpu", "2", "memory", "4Gi"), on("b"))
	a, b, c := nodeWith("a", zone("1")), nodeWith("b", zone("2")), nodeWith("c")
	db := testPod("db", "1", app("db"), on("a"))
	prefers := corev1.TaintEffectPreferNoSchedule
	for _, k := range []struct {
		name    string
		score   Score
		cluster []any
		pod     []podChange
		want    string
	}{
		{"least allocated", LeastAllocated{}, []any{a, b, half}, []podChange{requesting("cpu", "1", "memory", "2Gi")}, "[75 25]"},
		{"most allocated", MostAllocated{}, []any{a, b, half}, []podChange{requesting("cpu", "1", "memory", "2Gi")}, "[25 75]"},
		{"nothing allocatable is full", LeastAllocated{}, []any{nodeWith("a", func(n *corev1.Node) { n.Status.Allocatable = nil })}, nil, "[0]"},
		{"balanced", BalancedAllocation{}, []any{a, b, testPod("o", "2", requesting("cpu", "2", "memory", "1"), on("b"))}, []podChange{requesting("cpu", "1", "memory", "2Gi")}, "[100 75]"},
		{"owner", OwnerSpread{}, []any{a, b, testPod("o1", "1", owned("o"), on("a")), testPod("o2", "1", owned("o"), on("a")), testPod("o3", "1", on("b"))}, []podChange{owned("o")}, "[-2 0]"},
		{"no owner", OwnerSpread{}, []any{a, testPod("o1", "1", on("a"))}, nil, "[0]"},
		{"taints", PreferredTaints{}, []any{nodeWith("a", taint("k", "", prefers), taint("l", "", prefers)), nodeWith("b", taint("k", "", prefers)), c},
			[]podChange{tolerating(corev1.Toleration{Key: "k", Operator: corev1.TolerationOpExists})}, "[-1 0 0]"},
		{"node affinity", PreferredNodes{}, []any{nodeWith("a", label("x", ""), label("y", "")), nodeWith("b", label("y", "")), c},
			[]podChange{preferring(10, has("x")), preferring(5, has("y")), preferring(50, corev1.NodeSelectorTerm{})}, "[15 5 0]"},
		{"likes a pod", &PreferredPods{}, []any{a, b, c, db}, []podChange{likes(10, about("db", "zone"))}, "[10 0 0]"},
		{"dislikes a pod", &PreferredPods{}, []any{a, b, c, db}, []podChange{dislikes(10, about("db", "zone"))}, "[-10 0 0]"},
		{"is liked", &PreferredPods{}, []any{a, b, testPod("o", "1", likes(7, about("web", "zone")), on("a"))}, []podChange{app("web")}, "[7 0]"},
		{"is disliked", &PreferredPods{}, []any{a, b, testPod("o", "1", dislikes(7, about("web", "zone")), on("a"))}, []podChange{app("web")}, "[-7 0]"},
		{"is needed", &PreferredPods{}, []any{a, b, testPod("o", "1", beside(about("web", "zone")), on("a"))}, []podChange{app("web")}, "[1 0]"},
		{"is liked on a node that went", &PreferredPods{}, []any{a, testPod("o", "1", likes(7, about("web", "zone")), on("gone"))}, []podChange{app("web")}, "[0]"},
	} {
		if got := scored(k.score, newPod(testPod("p", "1", k.pod...)), viewOf(k.cluster...), false); got != k.want {
			t.Errorf("%s: %s, want %s", k.name, got, k.want)
		}
	}
}

func TestPodsThatAskForNothingAreCounted(t *testing.T) {
	view := viewOf(nodeWith("a"), nodeWith("b"), testPod("o", "1", requesting(), on("a")))
	pod := newPod(testPod("p", "1", requesting()))
	if a, b := (LeastAllocated{}).Score(pod, view.Node("a")), (LeastAllocated{}).Score(pod, view.Node("b")); a >= b {
		t.Errorf("%d with a pod there, %d without", a, b)
	}
}

func TestPreferredSpread(t *testing.T) {
	a, b, c, bare := nodeWith("a", zone("1")), nodeWith("b", zone("2")), nodeWith("c", zone("3")), nodeWith("d")
	web := func(name, node string) *corev1.Pod { return testPod(name, "1", app("web"), on(node)) }
	pod := newPod(testPod("p", "1", app("web"), spreadOver("zone", softly)))
	cluster := []any{a, b, c, bare, web("1", "a"), web("2", "a"), web("3", "b"), web("4", "d")}
	// A node in no domain is the worst, and does not drown the others'
	// differences.
	if got := scored(&PreferredSpread{}, pod, viewOf(cluster...), true); got != "[33 66 100 0]" {
		t.Error(got)
	}
	var p PreferredSpread
	p.Prepare(newPod(testPod("q", "1")), nil, viewOf(cluster...))
	if len(p.wishes) != 0 {
		t.Error("wishes of the pod before are left")
	}
}

func TestToScale(t *testing.T) {
	for _, c := range []struct{ in, want []int64 }{
		{[]int64{5, 10, 15}, []int64{0, 50, 100}},
		{[]int64{-3, 0}, []int64{0, 100}},
		{[]int64{7, 7}, []int64{0, 0}},
		{[]int64{math.MinInt64, 0, math.MaxInt64}, []int64{0, 50, 100}},
	} {
		got := slices.Clone(c.in)
		if toScale(got); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.in, got, c.want)
		}
	}
}
