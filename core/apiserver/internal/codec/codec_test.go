package codec

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/pintle-io/pintle/core/apiserver/internal/negotiate"
)

var podKind = corev1.SchemeGroupVersion.WithKind("Pod")

func testPod(name string) *corev1.Pod {
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", Labels: map[string]string{"a": "b"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "c", Image: strings.Repeat("x", 300),
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("100m")}},
		}}},
	}
}

func testScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	if err := corev1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	return s
}

// The envelope must be byte for byte what apimachinery's serializer writes.
func TestProtobufIsKubernetesOwn(t *testing.T) {
	scheme := testScheme(t)
	serializer := protobuf.NewSerializer(scheme, scheme)
	pods := &corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, ListMeta: metav1.ListMeta{ResourceVersion: "7", Continue: "x"}}
	items := []runtime.Object{}
	for _, name := range []string{"a", "b", "c"} {
		pod := testPod(name)
		pods.Items = append(pods.Items, *pod)
		items = append(items, pod)
	}

	var want bytes.Buffer
	if err := serializer.Encode(testPod("a"), &want); err != nil {
		t.Fatal(err)
	}
	got, err := AppendProtobuf(nil, podKind, testPod("a"))
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("object: %v\ngot  %q\nwant %q", err, got, want.Bytes())
	}

	want.Reset()
	if err := serializer.Encode(pods, &want); err != nil {
		t.Fatal(err)
	}
	got, err = AppendProtobufList(nil, corev1.SchemeGroupVersion.WithKind("PodList"), &pods.ListMeta, items)
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("list: %v\ngot  %q\nwant %q", err, got, want.Bytes())
	}

	object := []byte("k8s\x00object")
	event := metav1.WatchEvent{Type: string(watch.Added), Object: runtime.RawExtension{Raw: object}}
	raw, err := event.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	frame := AppendProtobufFrame([]byte("before"), string(watch.Added), object)
	if !bytes.Equal(frame[len("before")+4:], raw) {
		t.Errorf("frame:\ngot  %q\nwant %q", frame, raw)
	}
}

func TestDecode(t *testing.T) {
	const good = `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"},"spec":{"containers":[{"name":"c"}]}}`
	const unknown = `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"},"spec":{"containerz":[],"nodeName":"x","nodeName":"y"}}`
	for _, c := range []struct {
		name       string
		body       string
		format     negotiate.Format
		validation Validation
		want       string // part of the error
		warnings   int
	}{
		{name: "json", body: good},
		{name: "without a kind", body: `{"metadata":{"name":"a"}}`},
		{name: "yaml", body: "kind: Pod\napiVersion: v1\nmetadata: {name: a}\n", format: negotiate.YAML},
		{name: "unknown and double fields warn", body: unknown, warnings: 2},
		{name: "unknown fields ignored", body: unknown, validation: Ignore},
		{name: "unknown fields refused", body: unknown, validation: Strict, want: `strict decoding error: unknown field "spec.containerz", duplicate field "spec.nodeName"`},
		{name: "double key in yaml", body: "kind: Pod\nkind: Pod\napiVersion: v1\nmetadata: {name: a}\n", format: negotiate.YAML, validation: Strict, want: `key "kind" already set in map`},
		{name: "case counts", body: `{"metadata":{"Name":"a","name":"a"}}`, warnings: 1},
		{name: "other kind", body: `{"kind":"Service","apiVersion":"v1","spec":{"containers":[]}}`, want: `Service in version "v1" cannot be handled as a Pod`},
		{name: "other version", body: `{"kind":"Pod","apiVersion":"v2"}`, want: "the API version in the data (v2) does not match the expected API version (v1)"},
		{name: "malformed json", body: `{"kind":`, want: `the object provided is unrecognized (must be of type Pod)`},
		{name: "malformed yaml", body: "a: [\n", format: negotiate.YAML, want: "the object provided is unrecognized"},
		{name: "wrong type", body: `{"kind":"Pod","apiVersion":"v1","spec":{"containers":{}}}`, want: "cannot unmarshal object into Go struct field"},
		{name: "a list", body: `[]`, want: "the object provided is unrecognized"},
		{name: "empty", body: "", want: "the request has no body"},
		{name: "not protobuf", body: good, format: negotiate.Protobuf, want: "does not begin with the Kubernetes protobuf magic"},
		{name: "broken protobuf", body: "k8s\x00\xff\xff", format: negotiate.Protobuf, want: "the protobuf envelope is broken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := &corev1.Pod{}
			warnings, err := Decode([]byte(c.body), c.format, pod, podKind, c.validation)
			if c.want != "" {
				if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want 400 with %q", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if pod.Name != "a" || pod.GroupVersionKind() != podKind {
				t.Errorf("got %s %q", pod.GroupVersionKind(), pod.Name)
			}
			if len(warnings) != c.warnings {
				t.Errorf("warnings %q, want %d", warnings, c.warnings)
			}
		})
	}
}

func TestProtobufRoundTrip(t *testing.T) {
	body, err := AppendProtobuf(nil, podKind, testPod("a"))
	if err != nil {
		t.Fatal(err)
	}
	got := &corev1.Pod{}
	if _, err := Decode(body, negotiate.Protobuf, got, podKind, Warn); err != nil {
		t.Fatal(err)
	}
	if want := testPod("a"); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if _, err := Decode(body, negotiate.Protobuf, &corev1.Service{}, corev1.SchemeGroupVersion.WithKind("Service"), Warn); !apierrors.IsBadRequest(err) {
		t.Errorf("a pod taken for a service: %v", err)
	}
}

func TestDecodeAnyTakesEveryGroup(t *testing.T) {
	for _, body := range []string{
		`{"gracePeriodSeconds":5}`,
		`{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":5}`,
		`{"kind":"DeleteOptions","apiVersion":"apps/v1","gracePeriodSeconds":5}`,
		`{"kind":"DeleteOptions","apiVersion":"meta.k8s.io/v1","gracePeriodSeconds":5}`,
	} {
		var opts metav1.DeleteOptions
		if _, err := DecodeAny([]byte(body), negotiate.JSON, &opts, "DeleteOptions", Ignore); err != nil {
			t.Errorf("%s: %v", body, err)
		} else if opts.GracePeriodSeconds == nil || *opts.GracePeriodSeconds != 5 {
			t.Errorf("%s: %+v", body, opts)
		}
	}
	var opts metav1.DeleteOptions
	if _, err := DecodeAny([]byte(`{"kind":"Pod","apiVersion":"v1"}`), negotiate.JSON, &opts, "DeleteOptions", Ignore); !apierrors.IsBadRequest(err) {
		t.Errorf("a pod taken for options: %v", err)
	}
}

func TestAppend(t *testing.T) {
	status := &metav1.Status{Message: "x"}
	gvk := schema.GroupVersionKind{Version: "v1", Kind: "Status"}
	raw, err := Append(nil, negotiate.Output{}, gvk, status)
	if err != nil {
		t.Fatal(err)
	}
	var back metav1.Status
	if err := json.Unmarshal(raw, &back); err != nil || back.Kind != "Status" {
		t.Errorf("%s: %v", raw, err)
	}
	if status.Kind != "" {
		t.Error("the object was changed")
	}
	if raw, err = Append(nil, negotiate.Output{Pretty: true}, gvk, status); err != nil || !strings.Contains(string(raw), "\n  \"kind\"") {
		t.Errorf("pretty: %s %v", raw, err)
	}
	if raw, err = Append(nil, negotiate.Output{Format: negotiate.YAML}, gvk, status); err != nil || !strings.Contains(string(raw), "kind: Status\n") {
		t.Errorf("yaml: %s %v", raw, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"}}`), uint8(0))
	f.Add([]byte("kind: Pod\nmetadata: &a {name: *a}\n"), uint8(1))
	if body, err := AppendProtobuf(nil, podKind, testPod("a")); err == nil {
		f.Add(body, uint8(2))
	}
	f.Fuzz(func(t *testing.T, body []byte, format uint8) {
		pod := &corev1.Pod{}
		_, err := Decode(body, negotiate.Format(format%3), pod, podKind, Strict)
		if err == nil && pod.GroupVersionKind() != podKind {
			t.Errorf("decoded as %s", pod.GroupVersionKind())
		}
		if err != nil {
			if _, ok := err.(apierrors.APIStatus); !ok {
				t.Errorf("no Kubernetes status: %v", err)
			}
		}
	})
}
