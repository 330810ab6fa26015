package scheduler

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTopologySpread(t *testing.T) {
	type constraint = corev1.TopologySpreadConstraint
	web := func(name, node string, change ...podChange) *corev1.Pod {
		return testPod(name, "100m", append([]podChange{app("web"), on(node)}, change...)...)
	}
	a, b, c, bare := nodeWith("a", zone("1")), nodeWith("b", zone("2")), nodeWith("c", zone("3")), nodeWith("d")
	const no, missing = reasonSpread, reasonSpreadLabel
	honour, ignore := corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore
	skew := func(n int32) func(*constraint) { return func(c *constraint) { c.MaxSkew = n } }
	domains := func(n int32) func(*constraint) { return func(c *constraint) { c.MinDomains = &n } }
	taints := func(p corev1.NodeInclusionPolicy) func(*constraint) {
		return func(c *constraint) { c.NodeTaintsPolicy = &p }
	}
	affinity := func(p corev1.NodeInclusionPolicy) func(*constraint) {
		return func(c *constraint) { c.NodeAffinityPolicy = &p }
	}
	otherSelector := func(c *constraint) {
		c.LabelSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}
	}
	byHash := func(c *constraint) { c.MatchLabelKeys = []string{"hash"} }
	hash := func(v string) podChange { return func(p *corev1.Pod) { app("web")(p); p.Labels["hash"] = v } }
	shut := nodeWith("c", zone("3"), taint("k", "v", corev1.TaintEffectNoSchedule))
	const tainted = "node(s) had untolerated taint {k: v}"
	testFilters(t, []filterCase{
		{"empty", []any{a, b}, []podChange{app("web"), spreadOver("zone")}, "a: ok; b: ok"},
		{"the emptier", []any{a, b, web("1", "a")}, []podChange{app("web"), spreadOver("zone")}, "a: " + no + "; b: ok"},
		{"more skew", []any{a, b, web("1", "a")}, []podChange{app("web"), spreadOver("zone", skew(2))}, "a: ok; b: ok"},
		{"level again", []any{a, b, web("1", "a"), web("2", "b")}, []podChange{app("web"), spreadOver("zone")}, "a: ok; b: ok"},
		{"no label", []any{a, bare, web("1", "a"), web("2", "d")}, []podChange{app("web"), spreadOver("zone")}, "a: ok; d: " + missing},
		{"other namespace", []any{a, b, web("1", "a", in("other"))}, []podChange{app("web"), spreadOver("zone")}, "a: ok; b: ok"},
		{"a pod on its way out", []any{a, b, web("1", "a", going)}, []podChange{app("web"), spreadOver("zone")}, "a: ok; b: ok"},
		{"it does not count itself", []any{a, b, testPod("1", "1", app("db"), on("a"))}, []podChange{app("web"), spreadOver("zone", otherSelector)}, "a: ok; b: ok"},
		{"too few domains count as one with none", []any{a, b, web("1", "a"), web("2", "b")}, []podChange{app("web"), spreadOver("zone", domains(3))}, "a: " + no + "; b: " + no},
		{"enough domains", []any{a, b, c, web("1", "a"), web("2", "b"), web("3", "c")}, []podChange{app("web"), spreadOver("zone", domains(3))}, "a: ok; b: ok; c: ok"},
		{"tainted nodes count", []any{a, b, shut, web("1", "a"), web("2", "b")}, []podChange{app("web"), spreadOver("zone")}, "a: " + no + "; b: " + no + "; c: " + tainted},
		{"tainted nodes don't count where taints are honoured", []any{a, b, shut, web("1", "a"), web("2", "b")},
			[]podChange{app("web"), spreadOver("zone", taints(honour))}, "a: ok; b: ok; c: " + tainted},
		{"nodes of no affinity don't count", []any{a, b, web("1", "a")},
			[]podChange{app("web"), onNodes(corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{expression("zone", corev1.NodeSelectorOpIn, "1")}}), spreadOver("zone")},
			"a: ok; b: " + reasonNodeAffinity},
		{"nodes of no affinity count where it is ignored", []any{a, b, web("1", "a")},
			[]podChange{app("web"), onNodes(corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{expression("zone", corev1.NodeSelectorOpIn, "1")}}), spreadOver("zone", affinity(ignore))},
			"a: " + no + "; b: " + reasonNodeAffinity},
		{"matchLabelKeys", []any{a, b, web("1", "a", hash("old"))}, []podChange{hash("new"), spreadOver("zone", byHash)}, "a: ok; b: ok"},
		{"soft ones keep nobody away", []any{a, b, bare, web("1", "a")}, []podChange{app("web"), spreadOver("zone", softly)}, "a: ok; b: ok; d: ok"},
		{"nodes count that have the labels of all constraints", []any{a, b, nodeWith("e", zone("2"), func(n *corev1.Node) { delete(n.Labels, corev1.LabelHostname) }), web("1", "a"), web("2", "b"), web("3", "e")},
			[]podChange{app("web"), spreadOver("zone"), spreadOver(corev1.LabelHostname, skew(5))}, "a: ok; b: ok; e: " + missing},
	})
}
