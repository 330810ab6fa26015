package request

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		method, target string
		want           Info
	}{
		{"GET", "/", Info{Verb: "get"}},
		{"GET", "/healthz", Info{Verb: "get"}},
		{"OPTIONS", "/version", Info{Verb: "options"}},
		{"GET", "/api", Info{Verb: "get"}},
		{"GET", "/api/", Info{Verb: "get"}},
		{"GET", "/api/v1", Info{Verb: "get"}},
		{"GET", "/api/v1/", Info{Verb: "get"}},
		{"GET", "/apis/apps/v1", Info{Verb: "get"}},
		{"GET", "/apis//v1/x", Info{Verb: "get"}},
		{"GET", "/api/v1/pods", Info{IsResource: true, Verb: "list", Version: "v1", Resource: "pods"}},
		{"GET", "/api/v1/pods?watch=true", Info{IsResource: true, Verb: "watch", Version: "v1", Resource: "pods"}},
		{"GET", "/api/v1/pods?watch=false", Info{IsResource: true, Verb: "list", Version: "v1", Resource: "pods"}},
		{"GET", "/api/v1/pods?watch", Info{IsResource: true, Verb: "watch", Version: "v1", Resource: "pods"}},
		{"GET", "/api/v1/watch/pods", Info{IsResource: true, Verb: "watch", Version: "v1", Resource: "pods"}},
		{"GET", "/api/v1/watch/namespaces/a/pods/b", Info{IsResource: true, Verb: "watch", Version: "v1", Resource: "pods", Namespace: "a", Name: "b"}},
		{"GET", "/api/v1/namespaces", Info{IsResource: true, Verb: "list", Version: "v1", Resource: "namespaces"}},
		{"GET", "/api/v1/namespaces/", Info{IsResource: true, Verb: "list", Version: "v1", Resource: "namespaces"}},
		{"GET", "/api/v1/namespaces/a", Info{IsResource: true, Verb: "get", Version: "v1", Resource: "namespaces", Namespace: "a", Name: "a"}},
		{"PUT", "/api/v1/namespaces/a/finalize", Info{IsResource: true, Verb: "update", Version: "v1", Resource: "namespaces", Namespace: "a", Name: "a", Subresource: "finalize"}},
		{"PATCH", "/api/v1/namespaces/a/status", Info{IsResource: true, Verb: "patch", Version: "v1", Resource: "namespaces", Namespace: "a", Name: "a", Subresource: "status"}},
		{"POST", "/api/v1/namespaces/a/pods", Info{IsResource: true, Verb: "create", Version: "v1", Resource: "pods", Namespace: "a"}},
		{"DELETE", "/api/v1/namespaces/a/pods", Info{IsResource: true, Verb: "deletecollection", Version: "v1", Resource: "pods", Namespace: "a"}},
		{"DELETE", "/api/v1/namespaces/a/pods/b", Info{IsResource: true, Verb: "delete", Version: "v1", Resource: "pods", Namespace: "a", Name: "b"}},
		{"GET", "/api/v1/namespaces/a/pods/b/log", Info{IsResource: true, Verb: "get", Version: "v1", Resource: "pods", Namespace: "a", Name: "b", Subresource: "log"}},
		{"GET", "/api/v1/nodes/n/proxy", Info{IsResource: true, Verb: "get", Version: "v1", Resource: "nodes", Name: "n", Subresource: "proxy"}},
		{"GET", "/api/v1/nodes/n/proxy/", Info{IsResource: true, Verb: "get", Version: "v1", Resource: "nodes", Name: "n", Subresource: "proxy", HasRest: true}},
		{"GET", "/api/v1/nodes/n/proxy/a/b/", Info{IsResource: true, Verb: "get", Version: "v1", Resource: "nodes", Name: "n", Subresource: "proxy", Rest: "a/b/", HasRest: true}},
		{"POST", "/apis/apps/v1/namespaces/a/replicasets", Info{IsResource: true, Verb: "create", Group: "apps", Version: "v1", Resource: "replicasets", Namespace: "a"}},
		{"GET", "/apis/apps/v1/namespaces/a/replicasets/r/scale", Info{IsResource: true, Verb: "get", Group: "apps", Version: "v1", Resource: "replicasets", Namespace: "a", Name: "r", Subresource: "scale"}},
		{"GET", "/api/v1/namespaces/a/configmaps?fieldSelector=metadata.name%3Dc", Info{IsResource: true, Verb: "list", Version: "v1", Resource: "configmaps", Namespace: "a", Name: "c"}},
		{"GET", "/api/v1/namespaces/a/configmaps?watch=1&fieldSelector=metadata.name%3Dc", Info{IsResource: true, Verb: "watch", Version: "v1", Resource: "configmaps", Namespace: "a", Name: "c"}},
		{"GET", "/api/v1/pods?fieldSelector=metadata.name%3D..", Info{IsResource: true, Verb: "list", Version: "v1", Resource: "pods"}},
		{"HEAD", "/api/v1/namespaces/a/pods/b", Info{IsResource: true, Verb: "get", Version: "v1", Resource: "pods", Namespace: "a", Name: "b"}},
		{"TRACE", "/api/v1/pods", Info{IsResource: true, Version: "v1", Resource: "pods"}},
	} {
		t.Run(c.method+" "+c.target, func(t *testing.T) {
			if got := Parse(httptest.NewRequest(c.method, c.target, nil), nil); got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/apis/apps/v1/namespaces/a/replicasets/r/scale", nil)
	if n := testing.AllocsPerRun(100, func() { Parse(r, nil) }); n > 0 {
		t.Errorf("%v allocations a request", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("GET", "/api/v1/namespaces/a/pods/b/log", "follow=true")
	f.Add("DELETE", "/apis/apps/v1/watch/namespaces//x", "watch&fieldSelector=metadata.name=a")
	f.Add("GET", "//api//v1///", "%zz")
	f.Fuzz(func(t *testing.T, method, path, query string) {
		info := Parse(&http.Request{Method: method, URL: &url.URL{Path: path, RawQuery: query}}, nil)
		if info.IsResource && info.Version == "" {
			t.Errorf("%q: a resource without a version: %+v", path, info)
		}
		if !info.IsResource && (info.Resource != "" || info.Name != "" || info.Namespace != "") {
			t.Errorf("%q: no resource, yet fields of one: %+v", path, info)
		}
	})
}
