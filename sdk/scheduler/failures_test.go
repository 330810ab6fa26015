package scheduler

import "testing"

func TestFailuresAreSharedByPodsAlike(t *testing.T) {
	c := newCluster(t, Profile{})
	c.set(watchNodes, nodeWith("a"))
	c.set(watchPlaced, testPod("o", "4", apart(about("web", "kubernetes.io/hostname")), on("a")))
	waits := func(name string) {
		t.Helper()
		if node, why := c.decide(name); node != "" || why == "" {
			t.Errorf("%s on %q: %q", name, node, why)
		}
	}
	found := func(name string) bool {
		pod := c.h.view.waiting["default/"+name]
		_, ok := c.h.failures.find(pod.shape(), c.h.view)
		return ok
	}
	for _, p := range []string{"p1", "p2"} {
		c.set(watchWaiting, testPod(p, "1"))
	}
	c.set(watchWaiting, testPod("other", "0"))
	c.set(watchWaiting, testPod("web", "0", app("web")))
	waits("p1")
	if !found("p2") {
		t.Error("not known of a pod just like it")
	}
	waits("p2")
	if found("web") || found("other") {
		t.Error("known of pods that are not like it")
	}
	waits("web")
	if node, _ := c.decide("other"); node != "a" {
		t.Errorf("on %q", node)
	}
	if !found("p2") {
		t.Error("forgotten, though a pod that comes helps nobody")
	}
	c.gone(testPod("o", "4", on("a")))
	if found("p2") || found("web") {
		t.Error("still known after a pod left")
	}
	for _, p := range []string{"p1", "p2", "web"} {
		if node, why := c.decide(p); node != "a" {
			t.Errorf("%s on %q: %s", p, node, why)
		}
	}
}

func TestFailuresOfPodsThatWantOthersAreNotKept(t *testing.T) {
	for name, change := range map[string][]podChange{
		"affinity": {beside(about("db", "zone"))},
		"spread":   {app("web"), spreadOver("zone")},
	} {
		if shape := newPod(testPod("p", "1", change...)).shape(); shape != "" {
			t.Errorf("%s: kept", name)
		}
	}
}
