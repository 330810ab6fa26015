package scheduler

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestNodeTerms(t *testing.T) {
	type term = corev1.NodeSelectorTerm
	match := func(all ...corev1.NodeSelectorRequirement) term { return term{MatchExpressions: all} }
	named := func(all ...corev1.NodeSelectorRequirement) term { return term{MatchFields: all} }
	const in, notIn, exists, absent, gt, lt = corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn, corev1.NodeSelectorOpExists,
		corev1.NodeSelectorOpDoesNotExist, corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt
	const name = "metadata.name"
	cluster := []any{nodeWith("a", label("disk", "ssd"), label("cores", "8")), nodeWith("b", label("disk", "hdd"))}
	const no = reasonNodeAffinity
	selector := func(key, value string) podChange {
		return func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{key: value} }
	}
	testFilters(t, []filterCase{
		{"selector", cluster, []podChange{selector("disk", "ssd")}, "a: ok; b: " + no},
		{"in", cluster, []podChange{onNodes(match(expression("disk", in, "ssd", "nvme")))}, "a: ok; b: " + no},
		{"not in", cluster, []podChange{onNodes(match(expression("disk", notIn, "ssd")))}, "a: " + no + "; b: ok"},
		{"not in, no label", cluster, []podChange{onNodes(match(expression("cores", notIn, "8")))}, "a: " + no + "; b: ok"},
		{"exists", cluster, []podChange{onNodes(match(expression("cores", exists)))}, "a: ok; b: " + no},
		{"does not exist", cluster, []podChange{onNodes(match(expression("cores", absent)))}, "a: " + no + "; b: ok"},
		{"greater", cluster, []podChange{onNodes(match(expression("cores", gt, "7")))}, "a: ok; b: " + no},
		{"not greater", cluster, []podChange{onNodes(match(expression("cores", gt, "8")))}, "a: " + no + "; b: " + no},
		{"less", cluster, []podChange{onNodes(match(expression("cores", lt, "9")))}, "a: ok; b: " + no},
		{"terms are alternatives", cluster, []podChange{onNodes(match(expression("x", exists)), match(expression("disk", in, "hdd")))}, "a: " + no + "; b: ok"},
		{"expressions are all met", cluster, []podChange{onNodes(match(expression("disk", in, "ssd"), expression("cores", lt, "4")))}, "a: " + no + "; b: " + no},
		{"an empty term matches nothing", cluster, []podChange{onNodes(term{})}, "a: " + no + "; b: " + no},
		{"no terms match nothing", cluster, []podChange{onNodes()}, "a: " + no + "; b: " + no},
		{"by name", cluster, []podChange{onNodes(named(expression(name, in, "b")))}, "a: " + no + "; b: ok"},
		{"not by name", cluster, []podChange{onNodes(named(expression(name, notIn, "b")))}, "a: ok; b: " + no},
		{"both names", cluster, []podChange{onNodes(named(expression(name, in, "a"), expression(name, in, "b")))}, "a: " + no + "; b: " + no},
		{"name and label", cluster, []podChange{onNodes(term{MatchExpressions: match(expression("disk", exists)).MatchExpressions, MatchFields: named(expression(name, in, "a")).MatchFields})}, "a: ok; b: " + no},
		{"selector and affinity", cluster, []podChange{selector("disk", "ssd"), onNodes(match(expression("disk", in, "hdd")))}, "a: " + no + "; b: " + no},
	})
}

func TestTermsThatCantBeRead(t *testing.T) {
	bad := onNodes(corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{expression("k", "Like", "v")}})
	c := newCluster(t, Profile{})
	c.set(watchNodes, nodeWith("a"))
	c.set(watchWaiting, testPod("bad", "1", bad))
	if node, why := c.decide("bad"); node != "" || why != `node affinity: operator "Like" is not known` {
		t.Errorf("on %q: %s", node, why)
	}
	// With a node, however it came there, it takes its room.
	badAbout := apart(corev1.PodAffinityTerm{TopologyKey: "k", LabelSelector: badSelector()})
	c.set(watchPlaced, testPod("placed", "4", badAbout, on("a")))
	c.set(watchWaiting, testPod("good", "1"))
	if node, why := c.decide("good"); node != "" {
		t.Errorf("on %q: %s", node, why)
	}
}
