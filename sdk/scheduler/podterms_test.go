package scheduler

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func badSelector() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "k", Operator: "Like"}}}
}

func namespace(name, team string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": team}}}
}

func TestPodTerms(t *testing.T) {
	east, east2, west, bare := nodeWith("a", zone("east")), nodeWith("b", zone("east")), nodeWith("c", zone("west")), nodeWith("d")
	db := func(change ...podChange) *corev1.Pod { return testPod("db", "1", append(change, app("db"))...) }
	const no, never, others = reasonAffinity, reasonAntiAffinity, reasonOthersAntiAffinity
	ofNamespaces := func(t corev1.PodAffinityTerm, names ...string) corev1.PodAffinityTerm { t.Namespaces = names; return t }
	ofTeam := func(t corev1.PodAffinityTerm, team map[string]string) corev1.PodAffinityTerm {
		t.NamespaceSelector = &metav1.LabelSelector{MatchLabels: team}
		return t
	}
	versioned := func(v string) podChange {
		return func(p *corev1.Pod) { app("db")(p); p.Labels["version"] = v }
	}
	matching := func(t corev1.PodAffinityTerm, keys ...string) corev1.PodAffinityTerm {
		t.MatchLabelKeys = keys
		return t
	}
	mismatching := func(t corev1.PodAffinityTerm, keys ...string) corev1.PodAffinityTerm {
		t.MismatchLabelKeys = keys
		return t
	}
	testFilters(t, []filterCase{
		{"affinity", []any{east, east2, west, bare, db(on("a"))}, []podChange{beside(about("db", "zone"))}, "a: ok; b: ok; c: " + no + "; d: " + no},
		{"affinity to nobody", []any{east}, []podChange{beside(about("db", "zone"))}, "a: " + no},
		{"the first of its own", []any{east, bare}, []podChange{app("db"), beside(about("db", "zone"))}, "a: ok; d: " + no},
		{"not the first", []any{east, west, db(on("c"))}, []podChange{app("db"), beside(about("db", "zone"))}, "a: " + no + "; c: ok"},
		{"one pod must match every term", []any{east, west, db(on("a")), testPod("web", "1", app("web"), on("c"))},
			[]podChange{beside(about("db", "zone"), about("web", "zone"))}, "a: " + no + "; c: " + no},
		{"anti-affinity", []any{east, east2, west, bare, db(on("a"))}, []podChange{apart(about("db", "zone"))}, "a: " + never + "; b: " + never + "; c: ok; d: ok"},
		{"anti-affinity terms stand alone", []any{east, west, db(on("a")), testPod("web", "1", app("web"), on("c"))},
			[]podChange{apart(about("db", "zone"), about("web", "zone"))}, "a: " + never + "; c: " + never},
		{"others' anti-affinity", []any{east, west, bare, testPod("o", "1", apart(about("web", "zone")), on("a"))}, []podChange{app("web")}, "a: " + others + "; c: ok; d: ok"},
		{"others' anti-affinity against somebody else", []any{east, testPod("o", "1", apart(about("db", "zone")), on("a"))}, []podChange{app("web")}, "a: ok"},
		{"own namespace", []any{east, db(on("a"), in("other"))}, []podChange{apart(about("db", "zone"))}, "a: ok"},
		{"named namespace", []any{east, west, db(on("a"), in("other")), testPod("mine", "1", app("db"), on("c"))},
			[]podChange{apart(ofNamespaces(about("db", "zone"), "other"))}, "a: " + never + "; c: ok"},
		{"namespaces by label", []any{namespace("other", "x"), namespace("third", "y"), east, west, db(on("a"), in("other")), testPod("o", "1", app("db"), in("third"), on("c"))},
			[]podChange{apart(ofTeam(about("db", "zone"), map[string]string{"team": "x"}))}, "a: " + never + "; c: ok"},
		{"every namespace", []any{east, db(on("a"), in("other"))}, []podChange{apart(ofTeam(about("db", "zone"), nil))}, "a: " + never},
		{"no selector matches nothing", []any{east, db(on("a"))}, []podChange{apart(corev1.PodAffinityTerm{TopologyKey: "zone"})}, "a: ok"},
		{"matchLabelKeys", []any{east, west, testPod("o1", "1", versioned("1"), on("a")), testPod("o2", "1", versioned("2"), on("c"))},
			[]podChange{versioned("2"), apart(matching(about("db", "zone"), "version"))}, "a: ok; c: " + never},
		{"mismatchLabelKeys", []any{east, west, testPod("o1", "1", versioned("1"), on("a")), testPod("o2", "1", versioned("2"), on("c"))},
			[]podChange{versioned("2"), apart(mismatching(about("db", "zone"), "version"))}, "a: " + never + "; c: ok"},
		{"a key that the pod lacks says nothing", []any{east, db(on("a"))}, []podChange{apart(matching(about("db", "zone"), "version"))}, "a: " + never},
	})
}
