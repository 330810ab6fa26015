package scheduler

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/controller/stream"
)

type sent []*pluginv1.Decision

func (s *sent) Send(d *pluginv1.Decision) error {
	*s = append(*s, d)
	return nil
}

func testNode(name, cpu string, pods int64) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
		Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
			"cpu": resource.MustParse(cpu), "memory": resource.MustParse("8Gi"), "pods": *resource.NewQuantity(pods, resource.DecimalSI),
		}},
	}
}

func testPod(name, cpu string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID("uid-" + name)},
		Spec: corev1.PodSpec{SchedulerName: corev1.DefaultSchedulerName, Containers: []corev1.Container{{
			Name: "c", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse(cpu)}},
		}}},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

// cluster feeds a handler as the core does.
type cluster struct {
	t        *testing.T
	h        *handler
	out      *sent
	revision uint64
	work     uint64
}

func newCluster(t *testing.T, profile Profile) *cluster {
	out := &sent{}
	return &cluster{t: t, out: out, h: newHandler(profile, corev1.DefaultSchedulerName, out)}
}

func (c *cluster) set(watch uint32, obj runtime.Object) {
	c.t.Helper()
	c.change(setChange(c.t, watch, obj))
}

func setChange(t testing.TB, watch uint32, obj runtime.Object) *pluginv1.Change {
	t.Helper()
	gvk := corev1.SchemeGroupVersion.WithKind("X")
	data, err := stream.Encode(pluginv1.Encoding_ENCODING_KUBERNETES_PROTOBUF, gvk, obj)
	if err != nil {
		t.Fatal(err)
	}
	m := obj.(metav1.Object)
	return &pluginv1.Change{Type: pluginv1.Change_TYPE_SET, Watch: watch, Namespace: m.GetNamespace(), Name: m.GetName(), Object: data}
}

func (c *cluster) change(changes ...*pluginv1.Change) {
	c.t.Helper()
	c.revision++
	if err := c.h.Changes(&pluginv1.Changes{Revision: c.revision, Synced: true, Changes: changes}); err != nil {
		c.t.Fatal(err)
	}
}

// decide asks for one pod and returns the node, or the message.
func (c *cluster) decide(name string) (node, why string) {
	c.t.Helper()
	c.work++
	*c.out = nil
	if err := c.h.Work(c.t.Context(), []*pluginv1.WorkItem{{Id: c.work, Key: &pluginv1.Key{Namespace: "default", Name: name}}}); err != nil {
		c.t.Fatal(err)
	}
	if len(*c.out) != 1 {
		c.t.Fatalf("%d decisions", len(*c.out))
	}
	d := (*c.out)[0]
	for _, a := range d.GetActions() {
		if b := a.GetBind(); b != nil {
			return b.GetNode(), d.GetReason()
		}
	}
	return "", d.GetReason()
}

func TestNeverMoreThanFits(t *testing.T) {
	c := newCluster(t, Profile{Scores: []Weighted{{LeastAllocated{}, 1}}})
	c.set(watchNodes, testNode("a", "2", 10))
	c.set(watchNodes, testNode("b", "1", 10))
	got := map[string]int{}
	for i := range 4 {
		name := fmt.Sprintf("p%d", i)
		c.set(watchWaiting, testPod(name, "1"))
		node, why := c.decide(name)
		if i < 3 {
			got[node]++
		} else if node != "" || why != "0/2 nodes are available: 2 Insufficient cpu." {
			t.Errorf("the fourth pod: %q, %q", node, why)
		}
	}
	if got["a"] != 2 || got["b"] != 1 {
		t.Errorf("placed %v", got)
	}
}

func TestReasons(t *testing.T) {
	c := newCluster(t, Profile{})
	tainted := testNode("a", "4", 10)
	tainted.Spec.Taints = []corev1.Taint{{Key: "k", Value: "v", Effect: corev1.TaintEffectNoSchedule}}
	cordoned := testNode("b", "4", 10)
	cordoned.Spec.Unschedulable = true
	c.set(watchNodes, tainted)
	c.set(watchNodes, cordoned)
	c.set(watchNodes, testNode("c", "1", 10))
	c.set(watchNodes, testNode("d", "1", 0))
	c.set(watchWaiting, testPod("p", "2"))
	_, why := c.decide("p")
	want := "0/4 nodes are available: 1 Too many pods, 1 node(s) had untolerated taint {k: v}, 1 node(s) were unschedulable, 2 Insufficient cpu."
	if why != want {
		t.Errorf("got  %s\nwant %s", why, want)
	}
}

func TestTriedAgainWhenRoomIsMade(t *testing.T) {
	c := newCluster(t, Profile{})
	c.set(watchNodes, testNode("a", "1", 10))
	c.set(watchWaiting, testPod("p0", "1"))
	c.set(watchWaiting, testPod("p1", "1"))
	if node, _ := c.decide("p0"); node != "a" {
		t.Fatalf("p0 on %q", node)
	}
	if node, _ := c.decide("p1"); node != "" {
		t.Fatalf("p1 on %q", node)
	}
	c.set(watchPlaced, testPod("p0", "1", func(p *corev1.Pod) { p.Spec.NodeName = "a" }))
	*c.out = nil
	c.change(&pluginv1.Change{Type: pluginv1.Change_TYPE_DELETED, Watch: watchPlaced, Namespace: "default", Name: "p0"})
	if len(*c.out) != 1 || len((*c.out)[0].GetEnqueue()) != 1 || (*c.out)[0].GetEnqueue()[0].GetName() != "p1" {
		t.Fatalf("made due: %v", *c.out)
	}
	if node, _ := c.decide("p1"); node != "a" {
		t.Errorf("p1 on %q", node)
	}
}

func TestRefusedBindingIsTakenBack(t *testing.T) {
	c := newCluster(t, Profile{})
	c.set(watchNodes, testNode("a", "1", 10))
	c.set(watchWaiting, testPod("p0", "1"))
	c.set(watchWaiting, testPod("p1", "1"))
	c.decide("p0")
	err := c.h.Outcomes([]*pluginv1.Outcome{{WorkId: c.work, Key: &pluginv1.Key{Namespace: "default", Name: "p0"}, Results: []*pluginv1.ActionResult{{Code: 409}}}})
	if err != nil {
		t.Fatal(err)
	}
	if node, _ := c.decide("p1"); node != "a" {
		t.Errorf("p1 on %q", node)
	}
}

func TestAntiAffinityAndSpread(t *testing.T) {
	c := newCluster(t, Profile{})
	for _, n := range []string{"a", "b", "c"} {
		c.set(watchNodes, testNode(n, "4", 10))
	}
	apart := func(p *corev1.Pod) {
		p.Labels = map[string]string{"app": "x"}
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
			TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}},
		}}}}
	}
	nodes := map[string]bool{}
	for i := range 3 {
		name := fmt.Sprintf("p%d", i)
		c.set(watchWaiting, testPod(name, "1", apart))
		node, why := c.decide(name)
		if node == "" || nodes[node] {
			t.Fatalf("%s on %q: %s", name, node, why)
		}
		nodes[node] = true
	}
	c.set(watchWaiting, testPod("p3", "1", apart))
	if _, why := c.decide("p3"); why != "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules." {
		t.Error(why)
	}
	c.set(watchWaiting, testPod("p4", "1", func(p *corev1.Pod) { p.Labels = map[string]string{"app": "x"} }))
	if _, why := c.decide("p4"); why != "0/3 nodes are available: 3 node(s) didn't satisfy existing pods anti-affinity rules." {
		t.Error(why)
	}
}

func BenchmarkDecide(b *testing.B) {
	out := &sent{}
	h := newHandler(Profile{Scores: append(Wishes(), Weighted{OwnerSpread{}, 2}, Weighted{LeastAllocated{}, 1}, Weighted{BalancedAllocation{}, 1})}, corev1.DefaultSchedulerName, out)
	for i := range 5000 {
		h.view.setNode(testNode(fmt.Sprintf("n%d", i), "32", 250))
	}
	i := 0
	for b.Loop() {
		i++
		pod := newPod(testPod(fmt.Sprintf("p%d", i), "1m"))
		v := h.decider.decide(pod)
		if v.node == nil {
			b.Fatal(v.message())
		}
		h.assume(pod.Key(), pod, v.node.Name, uint64(i))
	}
}
