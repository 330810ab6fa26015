package discovery

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"testing"

	apidiscovery "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pintle-io/pintle/core/registry"
)

func testHandler(t *testing.T) *Handler {
	t.Helper()
	kinds, err := registry.New(registry.Builtin(registry.Options{})...)
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(kinds, "127.0.0.1:6443")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func get(t *testing.T, h *Handler, path, accept string, into any) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	if err := h.ServeHTTP(w, r); err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	return w
}

func TestClassic(t *testing.T) {
	h := testHandler(t)
	var groups metav1.APIGroupList
	get(t, h, "/apis", "", &groups)
	for _, g := range groups.Groups {
		if !h.Serves("/apis/"+g.Name) || !h.Serves("/apis/"+g.PreferredVersion.GroupVersion) {
			t.Errorf("group %s is listed and not served", g.Name)
		}
	}
	var core metav1.APIResourceList
	get(t, h, "/api/v1", "", &core)
	find := func(name string) metav1.APIResource {
		i := slices.IndexFunc(core.APIResources, func(r metav1.APIResource) bool { return r.Name == name })
		if i < 0 {
			t.Fatalf("no resource %s", name)
		}
		return core.APIResources[i]
	}
	if pods := find("pods"); !pods.Namespaced || pods.Kind != "Pod" || !slices.Contains(pods.ShortNames, "po") {
		t.Errorf("pods: %+v", pods)
	}
	if e := find("pods/eviction"); e.Group != "policy" || e.Version != "v1" || e.Kind != "Eviction" {
		t.Errorf("eviction: %+v", e)
	}
	find("bindings")
	find("namespaces/finalize")
}

func TestAggregated(t *testing.T) {
	h := testHandler(t)
	const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	for path, core := range map[string]bool{"/api": true, "/apis": false} {
		var list apidiscovery.APIGroupDiscoveryList
		w := get(t, h, path, accept, &list)
		if got := w.Header().Get("Content-Type"); got != accept {
			t.Errorf("%s: Content-Type %q", path, got)
		}
		if len(list.Items) == 0 || (list.Items[0].Name == "") != core {
			t.Errorf("%s: %+v", path, list.Items)
		}
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Accept", accept)
		r.Header.Set("If-None-Match", w.Header().Get("ETag"))
		again := httptest.NewRecorder()
		if err := h.ServeHTTP(again, r); err != nil || again.Code != 304 {
			t.Errorf("%s: a client that has it gets %d, %v", path, again.Code, err)
		}
	}
}
