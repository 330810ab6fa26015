package api

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pintle-io/pintle/core/registry"
	"github.com/pintle-io/pintle/core/store"
)

func TestPlainFieldsAgreeWithTheKind(t *testing.T) {
	kinds, err := registry.New(registry.Builtin(registry.Options{})...)
	if err != nil {
		t.Fatal(err)
	}
	pods, _ := kinds.ByResource(podResource)
	plain := plainFields(pods)
	if !plain["spec.nodeName"] || !plain["status.phase"] || plain["spec.hostNetwork"] {
		t.Errorf("plain fields of pods: %v", plain)
	}
	namespaces, _ := kinds.ByResource(namespaceResource)
	if plainFields(namespaces)["name"] {
		t.Error("the field name of a namespace is no path")
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "b", Annotations: map[string]string{"x": `"nodeName":"wrong"`, "spec": "{"}},
		Spec: corev1.PodSpec{
			NodeSelector: map[string]string{"nodeName": "wrong"}, NodeName: "n1", SchedulerName: `quo"te\d`,
			Containers: []corev1.Container{{Name: "nodeName", Args: []string{"]}", `\"`}}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	value, err := encodeStored(pods, pod)
	if err != nil {
		t.Fatal(err)
	}
	doc := entryDocument(pods, store.Entry{Key: "core/pods/b/a", Value: value, Revision: 1})
	set, err := doc.Fields()
	if err != nil {
		t.Fatal(err)
	}
	for name := range plain {
		if got := doc.plainField(name); got != set[name] {
			t.Errorf("%s is %q, the kind says %q", name, got, set[name])
		}
	}
}
