package openapi

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	openapiv2 "github.com/google/gnostic-models/openapiv2"
	openapiv3 "github.com/google/gnostic-models/openapiv3"
	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/pintle-io/pintle/core/registry"
	v1 "github.com/pintle-io/pintle/sdk/api/v1"
)

func testHandler(t *testing.T) *Handler {
	t.Helper()
	kinds, err := registry.New(registry.Builtin(registry.Options{})...)
	if err != nil {
		t.Fatal(err)
	}
	return New(kinds, "v1.37.0")
}

func get(t *testing.T, h *Handler, url, accept string) (*httptest.ResponseRecorder, []byte) {
	t.Helper()
	r := httptest.NewRequest("GET", url, nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	if err := h.ServeHTTP(w, r); err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	body, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w, body
}

func index(t *testing.T, h *Handler) map[string]string {
	t.Helper()
	_, body := get(t, h, "/openapi/v3", "")
	var index struct {
		Paths map[string]struct {
			URL string `json:"serverRelativeURL"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(body, &index); err != nil {
		t.Fatal(err)
	}
	urls := map[string]string{}
	for name, p := range index.Paths {
		urls[name] = p.URL
	}
	return urls
}

func TestV3(t *testing.T) {
	h := testHandler(t)
	urls := index(t, h)
	for _, want := range []string{"api/v1", "apis/apps/v1", "apis/pintle.io/v1", "apis/coordination.k8s.io/v1"} {
		if urls[want] == "" {
			t.Errorf("no document for %s in %v", want, urls)
		}
	}
	for name, url := range urls {
		w, body := get(t, h, url, "application/json")
		if !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: not cached for ever by its hash", url)
		}
		var doc spec3.OpenAPI
		if err := json.Unmarshal(body, &doc); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		checkRefs(t, name, body, "#/components/schemas/", func(ref string) bool { return doc.Components.Schemas[ref] != nil })
		_, body = get(t, h, url, "application/com.github.proto-openapi.spec.v3@v1.0+protobuf")
		if err := proto.Unmarshal(body, &openapiv3.Document{}); err != nil {
			t.Errorf("%s as protobuf: %v", name, err)
		}
	}
	w, _ := get(t, h, "/openapi/v3/api/v1?hash=old", "")
	if w.Code != 301 || w.Header().Get("Location") != urls["api/v1"] {
		t.Errorf("an old hash is answered %d to %q", w.Code, w.Header().Get("Location"))
	}
}

func TestV2(t *testing.T) {
	h := testHandler(t)
	w, body := get(t, h, "/openapi/v2", "application/json")
	if w.Header().Get("Etag") == "" {
		t.Error("no Etag")
	}
	var doc spec.Swagger
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatal(err)
	}
	checkRefs(t, "v2", body, "#/definitions/", func(ref string) bool { _, ok := doc.Definitions[ref]; return ok })
	ids := map[string]bool{}
	for path, item := range doc.Paths.Paths {
		for _, op := range []*spec.Operation{item.Get, item.Put, item.Post, item.Delete, item.Patch} {
			if op == nil {
				continue
			}
			if ids[op.ID] {
				t.Errorf("operation id %s of %s is there twice", op.ID, path)
			}
			ids[op.ID] = true
		}
	}
	_, body = get(t, h, "/openapi/v2", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
	if err := proto.Unmarshal(body, &openapiv2.Document{}); err != nil {
		t.Errorf("as protobuf: %v", err)
	}
}

func checkRefs(t *testing.T, name string, doc []byte, prefix string, known func(string) bool) {
	t.Helper()
	for part := range bytes.SplitSeq(doc, []byte(`"$ref":"`)) {
		ref, _, _ := bytes.Cut(part, []byte(`"`))
		if !bytes.HasPrefix(ref, []byte("#/")) {
			continue // what comes before the first reference
		}
		if target, ok := strings.CutPrefix(string(ref), prefix); !ok || !known(target) {
			t.Errorf("%s: reference to %s leads nowhere", name, ref)
		}
	}
}

// What kubectl looks for: the kind of a PATCH and its fieldValidation, list
// keys and patch strategies.
func TestWhatClientsReadOf(t *testing.T) {
	h := testHandler(t)
	_, body := get(t, h, "/openapi/v3/api/v1", "")
	var doc spec3.OpenAPI
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatal(err)
	}
	patch := doc.Paths.Paths["/api/v1/namespaces/{namespace}/pods/{name}"].Patch
	for _, want := range []string{"fieldValidation", "dryRun", "fieldManager", "force"} {
		if !slices.ContainsFunc(patch.Parameters, func(p *spec3.Parameter) bool { return p.Name == want && p.In == "query" }) {
			t.Errorf("PATCH of pods has no parameter %s", want)
		}
	}
	if gvk, _ := patch.Extensions["x-kubernetes-group-version-kind"].(map[string]any); gvk["kind"] != "Pod" || gvk["version"] != "v1" {
		t.Errorf("PATCH of pods is of %v", gvk)
	}
	container := doc.Components.Schemas["io.k8s.api.core.v1.Container"]
	ports := container.Properties["ports"]
	if keys, _ := ports.Extensions.GetStringSlice("x-kubernetes-list-map-keys"); !slices.Equal(keys, []string{"containerPort", "protocol"}) {
		t.Errorf("keys of container ports: %v", keys)
	}
	if !slices.Contains(container.Required, "name") || slices.Contains(container.Required, "image") {
		t.Errorf("required of a container: %v", container.Required)
	}
	quantity := doc.Components.Schemas["io.k8s.apimachinery.pkg.api.resource.Quantity"]
	if quantity == nil || len(quantity.OneOf) == 0 && len(quantity.Type) == 0 {
		t.Errorf("quantity: %+v", quantity)
	}
	_, body = get(t, h, "/openapi/v3/apis/pintle.io/v1", "")
	if !bytes.Contains(body, []byte(`"io.pintle.v1.PluginSpec"`)) {
		t.Error("the types of Plugin are not named after their group")
	}
	// The schemas must be usable for server-side apply.
	schemas := map[string]*spec.Schema{}
	for name, s := range doc.Components.Schemas {
		schemas[name] = s
	}
	if _, err := managedfields.NewTypeConverter(schemas, false); err != nil {
		t.Errorf("type converter: %v", err)
	}
}

// The descriptions of our own kind are its comments.
func TestPluginDescriptions(t *testing.T) {
	docs, err := runtime.ParseDocumentationFrom("../../../../sdk/api/v1/plugin.go")
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]described{
		"Plugin": v1.Plugin{}, "PluginList": v1.PluginList{}, "PluginNodeStatus": v1.PluginNodeStatus{}, "PluginPermission": v1.PluginPermission{},
		"PluginProcess": v1.PluginProcess{}, "PluginSpec": v1.PluginSpec{}, "PluginStatus": v1.PluginStatus{},
	}
	for _, pairs := range docs {
		if len(pairs) == 0 {
			continue
		}
		d, ok := described[pairs[0].Name]
		if !ok {
			t.Errorf("%s has no SwaggerDoc in sdk/api/v1/swagger_doc.go", pairs[0].Name)
			continue
		}
		got := d.SwaggerDoc()
		for i, pair := range pairs {
			name := pair.Name
			if i == 0 {
				name = ""
			}
			if want := strings.ReplaceAll(pair.Doc, `\"`, `"`); want != "" && got[name] != want {
				t.Errorf("%s.%s in sdk/api/v1/swagger_doc.go:\ngot  %s\nwant %s", pairs[0].Name, pair.Name, got[name], want)
			}
		}
	}
}
