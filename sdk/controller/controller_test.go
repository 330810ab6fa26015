package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/controller/stream"
)

func testSpec() Spec {
	return Spec{Watches: []Watch{
		{Object: &corev1.ConfigMap{}, Trigger: Self},
		{
			Object: &corev1.Pod{}, Trigger: Mapped, Fields: []string{"spec"},
			Indexes: map[string]func(runtime.Object) []string{"node": func(o runtime.Object) []string { return []string{o.(*corev1.Pod).Spec.NodeName} }},
		},
	}, MaxInFlight: 4}
}

func pod(name, node string, owner types.UID) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name, UID: types.UID(name), Labels: map[string]string{"name": name}, OwnerReferences: []metav1.OwnerReference{{UID: owner}}},
		Spec:       corev1.PodSpec{NodeName: node},
	}
}

func podNames(pods []*corev1.Pod) string {
	var names []string
	for _, p := range pods {
		names = append(names, p.Name)
	}
	return strings.Join(names, " ")
}

func TestView(t *testing.T) {
	v := ViewOf(testSpec(), time.Now(), pod("b", "n1", "x"), pod("a", "n1", "y"), pod("c", "n2", "x"))
	if got := podNames(List[*corev1.Pod](v, "n", nil)); got != "a b c" {
		t.Errorf("List: %q", got)
	}
	if got := podNames(List[*corev1.Pod](v, "", labels.SelectorFromSet(labels.Set{"name": "b"}))); got != "b" {
		t.Errorf("List with a selector: %q", got)
	}
	if got := podNames(Owned[*corev1.Pod](v, "x")); got != "b c" {
		t.Errorf("Owned: %q", got)
	}
	if got := podNames(ByIndex[*corev1.Pod](v, "node", "n1")); got != "a b" {
		t.Errorf("ByIndex: %q", got)
	}
	if _, ok := Get[*corev1.Pod](v, "n", "d"); ok {
		t.Error("Get finds what is not there")
	}
	if obj, ok := v.Of(corev1.SchemeGroupVersion.WithKind("Pod")).ByUID("c"); !ok || obj.(*corev1.Pod).Name != "c" {
		t.Error("ByUID does not find it")
	}
	defer func() {
		if recover() == nil {
			t.Error("asking for what is not watched goes unnoticed")
		}
	}()
	Get[*corev1.Secret](v, "n", "s")
}

func TestViewFollowsChanges(t *testing.T) {
	p, err := compile(testSpec(), anyMapper{})
	if err != nil {
		t.Fatal(err)
	}
	c := newCache(p)
	v := View{cache: c}
	put := func(o *corev1.Pod) { c.set(1, o, o, time.Now()) }
	put(pod("a", "n1", "x"))
	put(pod("a", "n2", "y"))
	if podNames(ByIndex[*corev1.Pod](v, "node", "n1"))+podNames(Owned[*corev1.Pod](v, "x")) != "" {
		t.Error("an object is still found by what it was before")
	}
	if podNames(ByIndex[*corev1.Pod](v, "node", "n2")) != "a" || podNames(Owned[*corev1.Pod](v, "y")) != "a" {
		t.Error("an object is not found by what it is")
	}
	c.remove(1, name{"n", "a"})
	k := c.kinds[p.kinds[1]]
	if len(k.objects)+len(k.byNamespace)+len(k.byOwner)+len(k.byUID)+len(k.byIndex["node"]) != 0 {
		t.Errorf("left %+v", k)
	}
}

func TestObjectOfTwoWatchesGoesWithTheLast(t *testing.T) {
	spec := Spec{Watches: []Watch{
		{Object: &corev1.Pod{}, Trigger: Self, FieldSelector: "spec.nodeName="},
		{Object: &corev1.Pod{}, FieldSelector: "spec.nodeName!="},
	}}
	p, err := compile(spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := newCache(p)
	a, b := pod("a", "", ""), pod("a", "n1", "")
	c.set(0, a, a, time.Now())
	c.set(1, b, b, time.Now())
	c.remove(0, name{"n", "a"})
	if got, ok := Get[*corev1.Pod](View{cache: c}, "n", "a"); !ok || got.Spec.NodeName != "n1" {
		t.Errorf("got %v", got)
	}
}

func TestWrongSpecs(t *testing.T) {
	for name, tt := range map[string]struct {
		spec Spec
		want string
	}{
		"no keys":        {Spec{Watches: []Watch{{Object: &corev1.Pod{}}}}, "no watch has the trigger Self"},
		"no object":      {Spec{Watches: []Watch{{Trigger: Self}}}, "Object is not set"},
		"no mapper":      {Spec{Watches: []Watch{{Object: &corev1.Pod{}, Trigger: Mapped}}}, "no method Map"},
		"unknown type":   {Spec{Watches: []Watch{{Object: &unstructured.Unstructured{}, Trigger: Self}}}, "says no kind"},
		"two Go types":   {Spec{Watches: []Watch{{Object: &corev1.Pod{}, Trigger: Self}, {Object: &metav1.PartialObjectMetadata{}, Kind: corev1.SchemeGroupVersion.WithKind("Pod")}}}, "is watched as"},
		"metadata alone": {Spec{Watches: []Watch{{Object: &metav1.PartialObjectMetadata{}, Trigger: Self}}}, "says no kind"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Contract(tt.spec, funcs{}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestDescription(t *testing.T) {
	spec := testSpec()
	spec.Watches = append(spec.Watches,
		Watch{Object: &corev1.Pod{}, LabelSelector: "a=b", Fields: []string{"status.phase"}},
		Watch{Object: &metav1.PartialObjectMetadata{}, Kind: corev1.SchemeGroupVersion.WithKind("Node"), Trigger: Self})
	c, err := Contract(spec, mapping{})
	if err != nil {
		t.Fatal(err)
	}
	var d pluginv1.DescribeResponse
	c.Describe(&d)
	l := d.GetLoop()
	if l.GetKeyKind().GetKind() != "ConfigMap" || len(l.GetMoreKeyKinds()) != 1 || l.GetMoreKeyKinds()[0].GetKind() != "Node" || l.GetMaxInFlight() != 4 {
		t.Errorf("got %v", l)
	}
	// The view holds an object once, so both watches of pods want the same.
	want := []string{"spec", "status.phase"}
	if !slices.Equal(l.GetWatches()[1].GetFields(), want) || !slices.Equal(l.GetWatches()[2].GetFields(), want) {
		t.Errorf("fields %v, %v", l.GetWatches()[1].GetFields(), l.GetWatches()[2].GetFields())
	}
	if !slices.Equal(l.GetWatches()[3].GetFields(), []string{"metadata"}) {
		t.Errorf("metadata alone: %v", l.GetWatches()[3].GetFields())
	}
}

// funcs is a reconciler made of a function.
type funcs struct {
	reconcile func(Key, View) (Decision, error)
}

func (f funcs) Reconcile(_ context.Context, k Key, v View) (Decision, error) {
	if f.reconcile == nil {
		return Decision{}, nil
	}
	return f.reconcile(k, v)
}

// mapping maps a pod to the ConfigMap of its name.
type mapping struct{ funcs }

func (mapping) Map(_ context.Context, c Change, _ View) []Key {
	m := c.Object().(metav1.Object)
	return []Key{{Kind: schema.GroupKind{Kind: "ConfigMap"}, Namespace: m.GetNamespace(), Name: m.GetName()}}
}

// sent collects what a session sends.
type sent chan *pluginv1.Decision

func (s sent) Send(d *pluginv1.Decision) error {
	s <- d
	return nil
}

func newTestSession(t *testing.T, r Reconciler) (*session, sent) {
	t.Helper()
	p, err := compile(testSpec(), r)
	if err != nil {
		t.Fatal(err)
	}
	out := make(sent, 100)
	s := newSession(p, r, time.Now, out)
	if err := s.Start(&pluginv1.Start{Encoding: pluginv1.Encoding_ENCODING_JSON}); err != nil {
		t.Fatal(err)
	}
	return s, out
}

func set(t *testing.T, watch uint32, obj metav1.Object) *pluginv1.Change {
	t.Helper()
	data, err := stream.Encode(pluginv1.Encoding_ENCODING_KUBERNETES_PROTOBUF, schema.GroupVersionKind{Version: "v1", Kind: "X"}, obj.(runtime.Object))
	if err != nil {
		t.Fatal(err)
	}
	return &pluginv1.Change{Type: pluginv1.Change_TYPE_SET, Watch: watch, Namespace: obj.GetNamespace(), Name: obj.GetName(), Object: data}
}

func TestSessionAnswers(t *testing.T) {
	s, out := newTestSession(t, mapping{funcs{func(k Key, v View) (Decision, error) {
		switch k.Name {
		case "panics":
			panic("a bug")
		case "fails":
			return Decision{}, errors.New("not now")
		case "ends":
			return Decision{}, Terminal(fmt.Errorf("never"))
		}
		var d Decision
		d.Because("%d pods, %d tries, %s", len(List[*corev1.Pod](v, "n", nil)), v.Attempt(), v.Failures()[0].Reason)
		d.Create(pod("new", "", "")).OnSuccess("Normal", "Made", "Made {name}").OnFailure("Warning", "Failed", "{error}")
		d.Requeue(time.Minute)
		return d, nil
	}}})
	if err := s.Changes(&pluginv1.Changes{Changes: []*pluginv1.Change{set(t, 1, pod("a", "", ""))}, Revision: 7, Synced: true}); err != nil {
		t.Fatal(err)
	}
	if d := <-out; len(d.GetEnqueue()) != 1 || d.GetEnqueue()[0].GetName() != "a" || d.GetWorkId() != 0 {
		t.Errorf("mapped keys: %v", d)
	}
	ask := func(name string) *pluginv1.Decision {
		item := &pluginv1.WorkItem{Id: 5, Key: &pluginv1.Key{Namespace: "n", Name: name}, Attempt: 2, Failures: []*pluginv1.ActionResult{{Code: 403, Reason: "Forbidden"}}}
		if err := s.Work(t.Context(), []*pluginv1.WorkItem{item}); err != nil {
			t.Fatal(err)
		}
		return <-out
	}
	d := ask("works")
	if d.GetReason() != "1 pods, 2 tries, Forbidden" || d.GetWorkId() != 5 || d.GetObservedRevision() != 7 || d.GetRequeueAfter().AsDuration() != time.Minute {
		t.Errorf("got %v", d)
	}
	a := d.GetActions()[0]
	if a.GetCreate().GetKind().GetKind() != "Pod" || a.GetOnSuccess().GetReason() != "Made" || a.GetOnFailure().GetType() != pluginv1.Event_TYPE_WARNING {
		t.Errorf("got %v", a)
	}
	if d := ask("panics"); !strings.Contains(d.GetError().GetMessage(), "panicked") || d.GetError().GetTerminal() {
		t.Errorf("got %v", d)
	}
	if d := ask("fails"); d.GetError().GetMessage() != "not now" || d.GetError().GetTerminal() {
		t.Errorf("got %v", d)
	}
	if d := ask("ends"); !d.GetError().GetTerminal() {
		t.Errorf("got %v", d)
	}
}

func TestActionsOnTheWire(t *testing.T) {
	p, err := compile(testSpec(), mapping{})
	if err != nil {
		t.Fatal(err)
	}
	held := pod("a", "", "")
	held.ResourceVersion = "41"
	var d Decision
	d.GrowingBatches()
	d.Guard(held)
	d.Update(held)
	d.UpdateStatus(held)
	d.Patch(held, types.MergePatchType, []byte(`{}`)).AtRevision()
	d.Delete(held).Grace(3).Propagation(metav1.DeletePropagationOrphan)
	d.Bind(held, "n1")
	d.Evict(held)
	d.Event(held, corev1.EventTypeWarning, "Why", "%d", 1)
	w, err := p.encode(&d, pluginv1.Encoding_ENCODING_JSON)
	if err != nil {
		t.Fatal(err)
	}
	as := w.GetActions()
	if w.GetOrder() != pluginv1.Decision_ORDER_GROWING_BATCHES || w.GetGuards()[0].GetUid() != "a" || w.GetGuards()[0].GetRevision() != 0 ||
		as[0].GetUpdate().GetObject().GetRevision() != 41 || as[1].GetUpdate().GetSubresource() != "status" ||
		as[2].GetPatch().GetObject().GetRevision() != 41 || as[2].GetPatch().GetType() != pluginv1.Patch_TYPE_MERGE ||
		as[3].GetDelete().GetGracePeriodSeconds() != 3 || as[3].GetDelete().GetPropagationPolicy() != "Orphan" || as[3].GetDelete().GetObject().GetRevision() != 0 ||
		as[4].GetBind().GetNode() != "n1" || as[5].GetEvict().GetPod().GetUid() != "a" || as[6].GetEvent().GetObject().GetName() != "a" || as[6].GetEvent().GetMessage() != "1" {
		t.Errorf("got %v", w)
	}
	var bad Decision
	bad.Patch(held, "no such", nil)
	if _, err := p.encode(&bad, pluginv1.Encoding_ENCODING_JSON); err == nil {
		t.Error("an unknown patch type is sent")
	}
}
