package negotiate

import (
	"net/http/httptest"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestAccept(t *testing.T) {
	table := schema.GroupVersionKind{Group: metav1.GroupName, Version: "v1", Kind: "Table"}
	partial := schema.GroupVersionKind{Group: metav1.GroupName, Version: "v1", Kind: "PartialObjectMetadataList"}
	for _, c := range []struct {
		accept   string
		protobuf bool
		want     Output
		refused  bool
	}{
		{accept: "", want: Output{}},
		{accept: "*/*", want: Output{}},
		{accept: "application/*", want: Output{}},
		{accept: "text/html,application/xhtml+xml,*/*;q=0.8", want: Output{}},
		{accept: "text/html", refused: true},
		{accept: "application/yaml", want: Output{Format: YAML}},
		{accept: "application/json;q=0.5, application/yaml", want: Output{Format: YAML}},
		{accept: "application/vnd.kubernetes.protobuf", protobuf: true, want: Output{Format: Protobuf}},
		{accept: "application/vnd.kubernetes.protobuf", refused: true},
		{accept: "application/vnd.kubernetes.protobuf,application/json", want: Output{}},
		{accept: "application/vnd.kubernetes.protobuf;stream=watch, application/json", protobuf: true, want: Output{Format: Protobuf}},
		{accept: "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", want: Output{As: table}},
		{accept: "application/json;as=Chart;v=v1;g=meta.k8s.io,application/json", want: Output{}},
		{accept: "application/json;as=Chart;v=v1;g=meta.k8s.io", refused: true},
		{accept: "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io", protobuf: true, refused: true},
		{accept: "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", protobuf: true, want: Output{Format: Protobuf, As: partial}},
		{accept: "application/json;pretty=1", want: Output{Pretty: true}},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", c.accept)
		got, err := Accept(r, Objects(c.protobuf))
		if c.refused != (err != nil) || got != c.want {
			t.Errorf("%q: got %+v, %v; want %+v", c.accept, got, err, c.want)
		}
	}
}

func TestPretty(t *testing.T) {
	for _, c := range []struct {
		query, agent string
		want         bool
	}{{"", "kubectl", false}, {"pretty=true", "kubectl", true}, {"", "curl/8", true}, {"pretty=0", "curl/8", false}} {
		r := httptest.NewRequest("GET", "/?"+c.query, nil)
		r.Header.Set("User-Agent", c.agent)
		out, err := Accept(r, Offer{})
		if err != nil || out.Pretty != c.want {
			t.Errorf("%+v: pretty %v, %v", c, out.Pretty, err)
		}
	}
}

func FuzzAccept(f *testing.F) {
	f.Add("application/json;as=Table;v=v1;g=meta.k8s.io,*/*;q=0.1")
	f.Add(";;q=,,")
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", header)
		if out, err := Accept(r, Objects(false)); err == nil && out.Format == Protobuf {
			t.Errorf("%q: protobuf was not on offer", header)
		}
	})
}
