package scheduler

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

func watchOf(obj runtime.Object) uint32 {
	switch o := obj.(type) {
	case *corev1.Node:
		return watchNodes
	case *corev1.Namespace:
		return watchNamespaces
	case *corev1.Pod:
		if o.Spec.NodeName != "" {
			return watchPlaced
		}
	}
	return watchWaiting
}

// woken returns whether something that was sent makes a pod due.
func (c *cluster) woken(name string) bool {
	for _, d := range *c.out {
		for _, k := range d.GetEnqueue() {
			if k.GetName() == name {
				return true
			}
		}
	}
	return false
}

func (c *cluster) gone(obj runtime.Object) {
	c.t.Helper()
	m := obj.(metav1.Object)
	c.change(&pluginv1.Change{Type: pluginv1.Change_TYPE_DELETED, Watch: watchOf(obj), Namespace: m.GetNamespace(), Name: m.GetName()})
}

// TestWoken has a pod that fits nowhere, and a change.
func TestWoken(t *testing.T) {
	a, b, east, west := nodeWith("a"), nodeWith("b"), nodeWith("a", zone("east")), nodeWith("b", zone("west"))
	full := func(node string) *corev1.Pod { return testPod("full-"+node, "4", on(node)) }
	pod := func(name, node string, change ...podChange) *corev1.Pod {
		return testPod(name, "100m", append(change, on(node))...)
	}
	set := func(objects ...runtime.Object) func(*cluster) {
		return func(c *cluster) {
			for _, o := range objects {
				c.set(watchOf(o), o)
			}
		}
	}
	gone := func(obj runtime.Object) func(*cluster) { return func(c *cluster) { c.gone(obj) } }
	db := pod("db", "a", app("db"))
	ofTeam := about("db", "zone")
	ofTeam.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "x"}}
	tainted := nodeWith("a", taint("k", "", corev1.TaintEffectNoSchedule))
	for _, c := range []struct {
		name   string
		there  []runtime.Object
		pod    []podChange
		change func(*cluster)
		want   bool
	}{
		{"a node with room comes", []runtime.Object{a, full("a")}, nil, set(b), true},
		{"a node without enough comes", []runtime.Object{a, full("a")}, nil, set(testNode("c", "500m", 10)), false},
		{"a node that it does not tolerate comes", []runtime.Object{a, full("a")}, nil, set(nodeWith("c", taint("k", "", corev1.TaintEffectNoSchedule))), false},
		{"a taint is taken away", []runtime.Object{tainted}, nil, set(a), true},
		{"a node says the same again", []runtime.Object{tainted}, nil, set(tainted), false},
		{"a node grows", []runtime.Object{testNode("a", "500m", 10)}, nil, set(a), true},
		{"a pod leaves", []runtime.Object{a, full("a")}, nil, gone(full("a")), true},
		{"a pod leaves and there is still no room", []runtime.Object{a, full("a"), pod("o", "a")}, nil, gone(pod("o", "a")), false},
		{"a pod shrinks", []runtime.Object{a, full("a")}, nil, set(testPod("full-a", "1", on("a"))), true},
		{"a pod comes", []runtime.Object{a, full("a")}, nil, set(pod("o", "a")), false},
		{"a pod comes that is wanted", []runtime.Object{east}, []podChange{beside(about("db", "zone"))}, set(db), true},
		{"a pod comes that is not wanted", []runtime.Object{east}, []podChange{beside(about("db", "zone"))}, set(pod("web", "a", app("web"))), false},
		{"a pod becomes one that is wanted", []runtime.Object{east, pod("db", "a")}, []podChange{beside(about("db", "zone"))}, set(db), true},
		{"one to keep away from leaves", []runtime.Object{east, db}, []podChange{apart(about("db", "zone"))}, gone(db), true},
		{"one to keep away from leaves another node of the place", []runtime.Object{east, nodeWith("c", zone("east"), label("full", "")), full("c"), pod("o", "c", app("db"))}, []podChange{apart(about("db", "zone"))}, gone(pod("o", "c", app("db"))), true},
		{"one to keep away from comes", []runtime.Object{east, db}, []podChange{apart(about("db", "zone"))}, set(pod("db2", "a", app("db"))), false},
		{"one that keeps it away leaves", []runtime.Object{east, nodeWith("c", zone("east")), full("c"), pod("o", "c", apart(about("web", "zone")))}, []podChange{app("web")}, gone(pod("o", "c", apart(about("web", "zone")))), true},
		{"a namespace becomes one that is meant no more", []runtime.Object{namespace("other", "x"), east, pod("db", "a", app("db"), in("other"))}, []podChange{apart(ofTeam)}, set(namespace("other", "y")), true},
		{"a namespace says the same again", []runtime.Object{namespace("other", "x"), east, pod("db", "a", app("db"), in("other"))}, []podChange{apart(ofTeam)}, set(namespace("other", "x")), false},
		{"another node moves to the place", []runtime.Object{east, nodeWith("c", zone("south"), taint("k", "", corev1.TaintEffectNoSchedule)), pod("db", "c", app("db"))}, []podChange{beside(about("db", "zone"))},
			set(nodeWith("c", zone("east"), taint("k", "", corev1.TaintEffectNoSchedule))), true},
		{"the least domain gets one more", []runtime.Object{east, west, full("b"), pod("1", "a", app("web"))}, []podChange{app("web"), spreadOver("zone")}, set(pod("2", "b", app("web"))), true},
		{"the least domain gets somebody else", []runtime.Object{east, west, full("b"), pod("1", "a", app("web"))}, []podChange{app("web"), spreadOver("zone")}, set(pod("2", "b", app("db"))), false},
		{"a node comes that is full for it, elsewhere a pod keeps it away", []runtime.Object{east, db}, []podChange{apart(about("db", "zone"))}, set(testNode("c", "500m", 10)), false},
		{"a node comes that brings the last domain", []runtime.Object{east, west, pod("1", "a", app("web")), pod("2", "b", app("web"))}, []podChange{app("web"), spreadOver("zone", domains(3))},
			set(testNodeIn("c", "500m", "south")), true},
		{"a node grows beside one that keeps it away", []runtime.Object{east, db}, []podChange{apart(about("db", "zone"))}, set(nodeWith("a", zone("east"), func(n *corev1.Node) { n.Status.Allocatable["cpu"] = list("x", "8")["x"] })), true},
		{"the least domain goes", []runtime.Object{east, west, full("b"), pod("1", "a", app("web"))}, []podChange{app("web"), spreadOver("zone")}, gone(west), true},
		{"one of the spread is being deleted", []runtime.Object{east, west, full("b"), pod("1", "a", app("web"))}, []podChange{app("web"), spreadOver("zone")}, set(pod("1", "a", app("web"), going)), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := newCluster(t, Profile{})
			set(c.there...)(cl)
			cl.set(watchWaiting, testPod("p", "1", c.pod...))
			if node, _ := cl.decide("p"); node != "" {
				t.Fatalf("it fits on %s before", node)
			}
			*cl.out = nil
			c.change(cl)
			if got := cl.woken("p"); got != c.want {
				t.Errorf("woken: %v", got)
			}
		})
	}
}

// TestWokenByWhatWasAssumed: a pod that wants another beside it is due when the
// binding of that one is certain, and not before.
func TestWokenByWhatWasAssumed(t *testing.T) {
	c := newCluster(t, Profile{})
	c.set(watchNodes, nodeWith("a", zone("east")))
	c.set(watchWaiting, testPod("p", "1", beside(about("db", "zone"))))
	c.set(watchWaiting, testPod("db", "1", app("db")))
	if node, _ := c.decide("p"); node != "" {
		t.Fatal(node)
	}
	if node, _ := c.decide("db"); node != "a" {
		t.Fatal(node)
	}
	*c.out = nil
	c.set(watchPlaced, testPod("db", "1", app("db"), on("a")))
	if !c.woken("p") {
		t.Error("not woken")
	}
}

func TestWokenByAnyChangeWhereAFilterOfTheProfileSaidNo(t *testing.T) {
	c := newCluster(t, Profile{Filters: []Filter{noGPU{}}})
	c.set(watchNodes, nodeWith("a"))
	c.set(watchWaiting, testPod("p", "1"))
	c.decide("p")
	*c.out = nil
	c.set(watchPlaced, testPod("o", "1", on("a")))
	if !c.woken("p") {
		t.Error("not woken")
	}
}

// bound is the outcome of the last decision: applied at a revision.
func (c *cluster) bound(name string, revision uint64) {
	c.t.Helper()
	err := c.h.Outcomes([]*pluginv1.Outcome{{
		WorkId: c.work, Key: &pluginv1.Key{Namespace: "default", Name: name},
		Results: []*pluginv1.ActionResult{{Name: name, Revision: revision}},
	}})
	if err != nil {
		c.t.Fatal(err)
	}
}

// TestDeletedInFlight: what was assumed stands until the outcome, and what it
// held is free then, whichever comes first of outcome and changes.
func TestDeletedInFlight(t *testing.T) {
	for _, c := range []struct {
		name string
		then func(*cluster)
	}{
		{"refused", func(c *cluster) {
			c.gone(testPod("first", "4"))
			if c.woken("second") {
				c.t.Error("woken before the outcome")
			}
			_ = c.h.Outcomes([]*pluginv1.Outcome{{WorkId: c.work - 1, Key: &pluginv1.Key{Namespace: "default", Name: "first"}, Results: []*pluginv1.ActionResult{{Code: 404}}}})
		}},
		{"bound, the outcome last", func(c *cluster) {
			revision := c.revision + 1
			c.gone(testPod("first", "4"))
			c.work--
			c.bound("first", revision)
		}},
		{"bound, the outcome first", func(c *cluster) {
			c.work--
			c.bound("first", c.revision+1)
			if c.woken("second") {
				c.t.Error("woken before the binding was seen")
			}
			c.gone(testPod("first", "4"))
		}},
		{"bound, seen, deleted", func(c *cluster) {
			c.set(watchPlaced, testPod("first", "4", on("a")))
			c.gone(testPod("first", "4"))
			c.gone(testPod("first", "4", on("a")))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := newCluster(t, Profile{})
			cl.set(watchNodes, nodeWith("a"))
			cl.set(watchWaiting, testPod("first", "4"))
			cl.set(watchWaiting, testPod("second", "1"))
			if node, _ := cl.decide("first"); node != "a" {
				t.Fatal(node)
			}
			if node, _ := cl.decide("second"); node != "" {
				t.Fatal(node)
			}
			*cl.out = nil
			c.then(cl)
			if !cl.woken("second") {
				t.Error("not woken")
			}
			if len(cl.h.assumed) != 0 {
				t.Error("still assumed")
			}
		})
	}
}

// TestShadow: nothing is applied, so that a shadow counts what it would have
// placed until the live scheduler decides.
func TestShadow(t *testing.T) {
	c := newCluster(t, Profile{})
	if err := c.h.Start(&pluginv1.Start{Shadow: true}); err != nil {
		t.Fatal(err)
	}
	c.set(watchNodes, nodeWith("a"))
	c.set(watchWaiting, testPod("first", "3"))
	c.set(watchWaiting, testPod("second", "3"))
	if node, _ := c.decide("first"); node != "a" {
		t.Fatal(node)
	}
	if err := c.h.Outcomes([]*pluginv1.Outcome{{WorkId: c.work, Key: &pluginv1.Key{Namespace: "default", Name: "first"}}}); err != nil {
		t.Fatal(err)
	}
	if node, _ := c.decide("second"); node != "" {
		t.Errorf("second on %s, where first would be", node)
	}
	if node, _ := c.decide("first"); node != "a" {
		t.Errorf("first, asked again, on %q", node)
	}
	// The live scheduler puts it elsewhere.
	*c.out = nil
	c.set(watchNodes, nodeWith("b", taint("k", "", corev1.TaintEffectNoSchedule)))
	c.set(watchPlaced, testPod("first", "3", on("b")))
	c.gone(testPod("first", "3"))
	if !c.woken("second") {
		t.Error("second was not woken by the room that first would have had")
	}
	if node, _ := c.decide("second"); node != "a" {
		t.Errorf("second on %q", node)
	}
	// It is deleted before anybody places it.
	c.gone(testPod("second", "3"))
	if len(c.h.assumed) != 0 || c.h.view.Node("a").Requested.MilliCPU != 0 {
		t.Error("what is gone is still counted")
	}
}

// TestSuccessorCountsWhatWasBound: a new stream begins with what the one before
// did.
func TestSuccessorCountsWhatWasBound(t *testing.T) {
	c := newCluster(t, Profile{})
	c.set(watchNodes, nodeWith("a"))
	c.set(watchPlaced, testPod("first", "4", on("a")))
	c.set(watchWaiting, testPod("second", "1"))
	if node, why := c.decide("second"); node != "" || why != "0/1 nodes are available: 1 Insufficient cpu." {
		t.Errorf("%q: %s", node, why)
	}
}

func TestGatesAndStrangers(t *testing.T) {
	c := newCluster(t, Profile{})
	c.set(watchNodes, nodeWith("a"))
	c.set(watchWaiting, testPod("gated", "1", func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "x"}} }))
	c.set(watchWaiting, testPod("going", "1", going))
	c.set(watchWaiting, testPod("foreign", "1", func(p *corev1.Pod) { p.Spec.SchedulerName = "other" }))
	for _, name := range []string{"gated", "going", "foreign"} {
		if node, _ := c.decide(name); node != "" || len((*c.out)[0].GetActions()) != 0 {
			t.Errorf("%s: %v", name, *c.out)
		}
	}
	c.set(watchWaiting, testPod("gated", "1"))
	if node, _ := c.decide("gated"); node != "a" {
		t.Errorf("on %q", node)
	}
}

func domains(n int32) func(*corev1.TopologySpreadConstraint) {
	return func(c *corev1.TopologySpreadConstraint) { c.MinDomains = &n }
}

func testNodeIn(name, cpu, in string) *corev1.Node {
	n := testNode(name, cpu, 10)
	zone(in)(n)
	return n
}
