package stream

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

var podKind = corev1.SchemeGroupVersion.WithKind("Pod")

func testPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n", UID: "u", ResourceVersion: "7", Labels: map[string]string{"a": "b"}},
		Spec: corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{
			Name:      "c",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("250m")}},
		}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
}

func TestRoundTrip(t *testing.T) {
	for _, encoding := range []pluginv1.Encoding{pluginv1.Encoding_ENCODING_JSON, pluginv1.Encoding_ENCODING_KUBERNETES_PROTOBUF} {
		want := testPod()
		data, err := Encode(encoding, podKind, want)
		if err != nil {
			t.Fatal(err)
		}
		var got corev1.Pod
		if err := Decode(data, &got); err != nil {
			t.Fatal(err)
		}
		if !equality.Semantic.DeepEqual(want, &got) {
			t.Errorf("%s: got %+v", encoding, got)
		}
		var meta metav1.PartialObjectMetadata
		if err := Decode(data, &meta); err != nil {
			t.Fatal(err)
		}
		if meta.Name != "p" || meta.UID != "u" || meta.Labels["a"] != "b" {
			t.Errorf("%s: metadata alone: %+v", encoding, meta)
		}
	}
}

func TestNoProtobufFormFallsBackToJSON(t *testing.T) {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "x.io/v1", "kind": "X", "metadata": map[string]any{"name": "x"}}}
	data, err := Encode(pluginv1.Encoding_ENCODING_KUBERNETES_PROTOBUF, u.GroupVersionKind(), u)
	if err != nil {
		t.Fatal(err)
	}
	var got unstructured.Unstructured
	if err := Decode(data, &got); err != nil || got.GetName() != "x" {
		t.Fatalf("%v, %v", got, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, encoding := range []pluginv1.Encoding{pluginv1.Encoding_ENCODING_JSON, pluginv1.Encoding_ENCODING_KUBERNETES_PROTOBUF} {
		data, err := Encode(encoding, podKind, testPod())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		for _, into := range []runtime.Object{&corev1.Pod{}, &metav1.PartialObjectMetadata{}, &unstructured.Unstructured{}} {
			_ = Decode(data, into)
		}
	})
}
