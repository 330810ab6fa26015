package loop

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pintle-io/pintle/core/registry"
)

func narrowed(t *testing.T, fields ...string) (*corev1.Pod, *corev1.Pod) {
	t.Helper()
	kind := &registry.Kind{GVK: corev1.SchemeGroupVersion.WithKind("Pod"), New: func() runtime.Object { return &corev1.Pod{} }}
	n, err := newNarrower(kind, fields)
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "p", Labels: map[string]string{"a": "b"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}},
		},
		Spec:   corev1.PodSpec{NodeName: "n", SecurityContext: &corev1.PodSecurityContext{RunAsUser: new(int64), RunAsGroup: new(int64)}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Message: "m", Conditions: []corev1.PodCondition{{Type: "Ready"}}},
	}
	return n.reduce(pod).(*corev1.Pod), pod
}

func TestNarrow(t *testing.T) {
	whole, pod := narrowed(t)
	if whole.Spec.NodeName != "n" || whole.Status.Phase == "" || whole.ManagedFields != nil {
		t.Errorf("whole object: %+v", whole)
	}
	if len(pod.ManagedFields) != 1 {
		t.Error("the object itself was changed")
	}
	if got, _ := narrowed(t, "metadata"); got.Labels["a"] != "b" || got.Spec.NodeName != "" || got.Status.Phase != "" || got.ManagedFields != nil {
		t.Errorf("metadata: %+v", got)
	}
	if got, _ := narrowed(t, "status.phase", "status.conditions"); got.Status.Phase == "" || len(got.Status.Conditions) != 1 || got.Status.Message != "" {
		t.Errorf("some of status: %+v", got)
	}
	if got, _ := narrowed(t, "status", "status.phase"); got.Status.Message == "" || got.Spec.NodeName != "" {
		t.Errorf("status and a part of it: %+v", got)
	}
	got, pod := narrowed(t, "spec.securityContext.runAsUser")
	if got.Spec.SecurityContext == nil || got.Spec.SecurityContext.RunAsUser == nil || got.Spec.SecurityContext.RunAsGroup != nil {
		t.Errorf("behind a pointer: %+v", got.Spec.SecurityContext)
	}
	if pod.Spec.SecurityContext.RunAsGroup == nil {
		t.Error("the object itself was changed")
	}
}

func TestNarrowUnstructured(t *testing.T) {
	kind := &registry.Kind{New: func() runtime.Object { return &unstructured.Unstructured{} }}
	n, err := newNarrower(kind, []string{"spec.a"})
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "x.io/v1", "kind": "X",
		"metadata": map[string]any{"name": "x", "managedFields": []any{"m"}},
		"spec":     map[string]any{"a": int64(1), "b": int64(2)},
	}}
	got := n.reduce(u).(*unstructured.Unstructured)
	a, _, _ := unstructured.NestedInt64(got.Object, "spec", "a")
	_, b, _ := unstructured.NestedInt64(got.Object, "spec", "b")
	_, managed, _ := unstructured.NestedSlice(got.Object, "metadata", "managedFields")
	if a != 1 || b || managed || got.GetName() != "x" {
		t.Errorf("got %v", got.Object)
	}
	if _, kept, _ := unstructured.NestedSlice(u.Object, "metadata", "managedFields"); !kept {
		t.Error("the object itself was changed")
	}
}

func TestPendingKeepsTheLastChangeInOrder(t *testing.T) {
	p := newPending()
	at := func(name string, revision uint64, deleted bool) change {
		return change{changeKey: changeKey{0, "n", name}, event: Event{Revision: revision}, deleted: deleted}
	}
	p.put([]change{at("a", 1, false), at("b", 2, false)}, 2, false)
	p.put([]change{at("a", 3, false), at("b", 4, true)}, 4, true)
	changes, revision, synced := p.take()
	if len(changes) != 2 || changes[0].name != "a" || changes[0].event.Revision != 3 || !changes[1].deleted || revision != 4 || !synced {
		t.Errorf("got %+v, %d, %t", changes, revision, synced)
	}
	if changes, _, _ := p.take(); len(changes) != 0 {
		t.Errorf("taken twice: %+v", changes)
	}
}

func TestJournalIsBounded(t *testing.T) {
	j := NewJournal(3, 2)
	for i := range 10 {
		key := testKey(string(rune('a' + i)))
		for n := range 5 {
			j.add(&Record{Key: key, Reason: string(rune('0' + n))})
		}
	}
	if n := len(j.stories); n != 3 || j.recent.Len() != 3 {
		t.Errorf("%d objects are kept", n)
	}
	last := j.Explain(testKey("j"))
	if len(last) != 2 || last[1].Reason != "4" {
		t.Errorf("got %+v", last)
	}
	j.add(&Record{Key: testKey("j"), Reason: "4"})
	if last := j.Explain(testKey("j")); len(last) != 2 || last[1].Repeated != 1 {
		t.Errorf("the same again: %+v", last)
	}
}
