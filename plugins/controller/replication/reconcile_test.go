package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/pintle-io/pintle/sdk/controller"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func rc(replicas int32, change ...func(*corev1.ReplicationController)) *corev1.ReplicationController {
	c := &corev1.ReplicationController{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "rc", Generation: 2},
		Spec: corev1.ReplicationControllerSpec{
			Replicas: &replicas, Selector: map[string]string{"app": "web"},
			Template: &corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}, Annotations: map[string]string{"a": "b"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
			},
		},
	}
	for _, f := range change {
		f(c)
	}
	return c
}

// pod makes one that the controller owns, running and ready for an hour.
func pod(name string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: name, UID: types.UID("uid-" + name), Labels: map[string]string{"app": "web"},
			OwnerReferences:   []metav1.OwnerReference{*metav1.NewControllerRef(rc(0), controllerKind)},
			CreationTimestamp: metav1.NewTime(now.Add(-2 * time.Hour)),
		},
		Spec: corev1.PodSpec{NodeName: "n1"},
		Status: corev1.PodStatus{
			Phase:      corev1.PodRunning,
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-time.Hour))}},
		},
	}
	for _, f := range change {
		f(p)
	}
	return p
}

func orphaned(p *corev1.Pod) { p.OwnerReferences = nil }
func deleting(p *corev1.Pod) { t := metav1.NewTime(now); p.DeletionTimestamp = &t }
func phase(ph corev1.PodPhase) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Status.Phase = ph }
}
func unready(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse }
func relabelled(v string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Labels = map[string]string{"app": v} }
}

func decide(t *testing.T, view controller.View, kind ...string) controller.Decision {
	t.Helper()
	key := controller.Key{Kind: controllerKind.GroupKind(), Namespace: "ns", Name: "web"}
	if len(kind) > 0 {
		key.Kind = setKind.GroupKind()
	}
	d, err := reconciler{}.Reconcile(context.Background(), key, view)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// text says what a decision does, without status.
func text(d controller.Decision) string {
	var out []string
	creates := 0
	for _, a := range d.Actions() {
		switch {
		case a.Verb() == "create":
			creates++
		case a.Subresource() == "":
			out = append(out, a.Verb()+" "+a.Object().(metav1.Object).GetName())
		}
	}
	if creates > 0 {
		out = append(out, fmt.Sprintf("create %d", creates))
	}
	return strings.Join(out, ", ")
}

// statusOf returns the status that a decision writes, or nil.
func statusOf(t *testing.T, d controller.Decision) *status {
	t.Helper()
	for _, a := range d.Actions() {
		if a.Subresource() != "status" {
			continue
		}
		var patch struct{ Status status }
		if err := json.Unmarshal(a.PatchBytes(), &patch); err != nil {
			t.Fatal(err)
		}
		return &patch.Status
	}
	return nil
}

func TestReconcile(t *testing.T) {
	for _, tt := range []struct {
		name    string
		objects []runtime.Object
		want    string
	}{
		{"gone", nil, ""},
		{"none of three", []runtime.Object{rc(3)}, "create 3"},
		{"as many as asked for", []runtime.Object{rc(1), pod("a")}, ""},
		{"no more than a burst at once", []runtime.Object{rc(2000)}, "create 500"},
		{"ended and leaving pods don't count", []runtime.Object{rc(2), pod("a", phase(corev1.PodFailed)), pod("b", phase(corev1.PodSucceeded)), pod("c", deleting), pod("d")}, "create 1"},
		{"surplus", []runtime.Object{rc(1), pod("a"), pod("b", unready)}, "delete b"},
		{"adopts", []runtime.Object{rc(2), pod("a", orphaned)}, "patch a, create 1"},
		{"does not adopt what leaves, ended or does not match", []runtime.Object{rc(0), pod("a", orphaned, deleting), pod("b", orphaned, phase(corev1.PodFailed)), pod("c", orphaned, relabelled("x"))}, ""},
		{"releases", []runtime.Object{rc(1), pod("a", relabelled("x"))}, "patch a, create 1"},
		{"others' pods are theirs", []runtime.Object{rc(1), pod("a", func(p *corev1.Pod) { p.OwnerReferences[0].UID = "other" })}, "create 1"},
		{"being deleted", []runtime.Object{rc(3, func(c *corev1.ReplicationController) { ts := metav1.NewTime(now); c.DeletionTimestamp = &ts }), pod("a", orphaned)}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := text(decide(t, controller.ViewOf(spec(), now, tt.objects...))); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNewPod(t *testing.T) {
	c := rc(1)
	d := decide(t, controller.ViewOf(spec(), now, c))
	var p *corev1.Pod
	for _, a := range d.Actions() {
		if a.Verb() == "create" {
			p = a.Object().(*corev1.Pod)
		}
	}
	ref := metav1.GetControllerOf(p)
	if p.GenerateName != "web-" || p.Namespace != "ns" || p.Labels["app"] != "web" || p.Annotations["a"] != "b" ||
		ref == nil || ref.UID != c.UID || ref.Kind != "ReplicationController" || ref.APIVersion != "v1" || !*ref.BlockOwnerDeletion ||
		p.Spec.Containers[0].Image != "i" {
		t.Errorf("got %+v", p)
	}
}

func TestWhoIsDeletedFirst(t *testing.T) {
	cost := func(c string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Annotations = map[string]string{"controller.kubernetes.io/pod-deletion-cost": c}
		}
	}
	node := func(n string) func(*corev1.Pod) { return func(p *corev1.Pod) { p.Spec.NodeName = n } }
	readyFor := func(d time.Duration) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Status.Conditions[0].LastTransitionTime = metav1.NewTime(now.Add(-d)) }
	}
	age := func(d time.Duration) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.CreationTimestamp = metav1.NewTime(now.Add(-d)) }
	}
	restarted := func(n int32) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: n}} }
	}
	for _, tt := range []struct {
		name          string
		first, second *corev1.Pod
		more          []runtime.Object
	}{
		{"without a node", pod("x", node("")), pod("a", unready), nil},
		{"pending before running", pod("x", phase(corev1.PodPending)), pod("a", unready), nil},
		{"unknown before running", pod("x", phase(corev1.PodUnknown)), pod("a", unready), nil},
		{"pending before unknown", pod("x", phase(corev1.PodPending)), pod("a", phase(corev1.PodUnknown)), nil},
		{"unready before a low cost", pod("x", unready), pod("a", cost("-10")), nil},
		{"lower cost", pod("x", cost("-1")), pod("a", cost("5")), nil},
		{"a cost that is no number is none", pod("x", cost("-1")), pod("a", cost("dear")), nil},
		{"doubled up on a node", pod("x"), pod("a", node("n2"), readyFor(time.Second)), []runtime.Object{pod("z", cost("100"))}},
		{"ready for less long", pod("x", readyFor(time.Second)), pod("a", readyFor(time.Hour)), nil},
		{"restarted more often", pod("x", restarted(3)), pod("a", restarted(1)), nil},
		{"younger", pod("x", age(time.Second)), pod("a", age(time.Hour)), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			objects := append([]runtime.Object{rc(int32(1 + len(tt.more))), tt.first, tt.second}, tt.more...)
			if got := text(decide(t, controller.ViewOf(spec(), now, objects...))); got != "delete x" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestSiblingsOfOneDeploymentCountForDoublingUp(t *testing.T) {
	deployment := metav1.OwnerReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "d", UID: "d", Controller: ptr.To(true)}
	set := func(name string, replicas int32) *appsv1.ReplicaSet {
		return &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name), OwnerReferences: []metav1.OwnerReference{deployment}},
			Spec:       appsv1.ReplicaSetSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"set": name}}},
		}
	}
	of := func(s *appsv1.ReplicaSet, name, node string) *corev1.Pod {
		return pod(name, func(p *corev1.Pod) {
			p.Labels = map[string]string{"set": s.Name}
			p.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(s, setKind)}
			p.Spec.NodeName = node
		})
	}
	web, old := set("web", 1), set("old", 1)
	view := controller.ViewOf(spec(), now, web, old, of(web, "a", "n1"), of(web, "x", "n2"), of(old, "o", "n2"))
	if got := text(decide(t, view, "ReplicaSet")); got != "delete x" {
		t.Errorf("got %q", got)
	}
}

func TestStatus(t *testing.T) {
	minReady := func(s int32) func(*corev1.ReplicationController) {
		return func(c *corev1.ReplicationController) { c.Spec.MinReadySeconds = s }
	}
	fresh := pod("fresh", func(p *corev1.Pod) {
		p.Status.Conditions[0].LastTransitionTime = metav1.NewTime(now.Add(-10 * time.Second))
	})
	view := controller.ViewOf(spec(), now, rc(3, minReady(30)), pod("a"), pod("b", unready), fresh)
	d := decide(t, view)
	got := statusOf(t, d)
	if got == nil || got.Replicas != 3 || got.FullyLabeledReplicas != 3 || got.ReadyReplicas != 2 || got.AvailableReplicas != 1 || got.ObservedGeneration != 2 {
		t.Errorf("got %+v", got)
	}
	if d.RequeueAfter != 20*time.Second {
		t.Errorf("comes again after %s", d.RequeueAfter)
	}
	settled := rc(1, func(c *corev1.ReplicationController) {
		c.Status = corev1.ReplicationControllerStatus{Replicas: 1, FullyLabeledReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1, ObservedGeneration: 2}
	})
	if d := decide(t, controller.ViewOf(spec(), now, settled, pod("a"))); !d.Empty() {
		t.Errorf("something is written though nothing changed: %v", text(d))
	}
}

func TestReplicaFailure(t *testing.T) {
	quota := controller.Failure{Code: 403, Reason: "Forbidden", Message: "exceeded quota"}
	view := controller.ViewOf(spec(), now, rc(3))
	got := statusOf(t, decide(t, view.After(1, quota)))
	if got == nil || len(got.Conditions) != 1 {
		t.Fatalf("got %+v", got)
	}
	c := got.Conditions[0]
	if c.Type != "ReplicaFailure" || c.Status != corev1.ConditionTrue || c.Reason != "FailedCreate" || c.Message != "exceeded quota" || !c.LastTransitionTime.Equal(&metav1.Time{Time: now}) {
		t.Errorf("got %+v", c)
	}
	conflict := controller.Failure{Code: 409, Reason: "Conflict"}
	if got := statusOf(t, decide(t, view.After(1, conflict))); got == nil || len(got.Conditions) != 0 {
		t.Errorf("a conflict is no failure: %+v", got)
	}
	failing := rc(0, func(c *corev1.ReplicationController) {
		c.Status.ObservedGeneration = 2
		c.Status.Conditions = []corev1.ReplicationControllerCondition{
			{Type: "Other", Status: corev1.ConditionTrue}, {Type: "ReplicaFailure", Status: corev1.ConditionTrue},
		}
	})
	got = statusOf(t, decide(t, controller.ViewOf(spec(), now, failing)))
	if got == nil || len(got.Conditions) != 1 || got.Conditions[0].Type != "Other" {
		t.Errorf("got %+v", got)
	}
}

func TestMap(t *testing.T) {
	view := controller.ViewOf(spec(), now, rc(1))
	web := controller.Key{Kind: controllerKind.GroupKind(), Namespace: "ns", Name: "web"}
	for _, tt := range []struct {
		name     string
		old, new runtime.Object
		want     int
	}{
		{"new", nil, pod("a"), 1},
		{"gone", pod("a"), nil, 1},
		{"released", pod("a"), pod("a", orphaned, relabelled("x")), 1},
		{"an orphan that matches", nil, pod("a", orphaned), 1},
		{"an orphan that does not", nil, pod("a", orphaned, relabelled("x")), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			keys := reconciler{}.Map(context.Background(), controller.Change{Watch: 2, Old: tt.old, New: tt.new}, view)
			if len(keys) != tt.want || (tt.want > 0 && keys[0] != web) {
				t.Errorf("got %v", keys)
			}
		})
	}
}
