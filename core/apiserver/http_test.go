package apiserver_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/apiserver"
	"github.com/pintle-io/pintle/core/auth"
)

// httpClient is a plain HTTP client as a user, or as nobody.
func (c *cluster) httpClient(u *auth.User) *http.Client {
	c.t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(c.ca.CertificatePEM())
	config := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	if u != nil {
		cert, err := c.issue(*u).TLS()
		if err != nil {
			c.t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	c.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (c *cluster) adminHTTP() *http.Client {
	admin := auth.Admin()
	return c.httpClient(&admin)
}

type header map[string]string

// do makes a request and reads the answer.
func (c *cluster) do(client *http.Client, method, path string, h header, body string) (*http.Response, []byte) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, "https://"+c.address+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for key, value := range h {
		r.Header.Set(key, value)
	}
	resp, err := client.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp, answer
}

func TestWhoMayDoWhat(t *testing.T) {
	c := newCluster(t, nil)
	admin, node, stranger := auth.Admin(), auth.Node("n"), auth.User{Name: "someone"}
	clients := map[string]*http.Client{
		"nobody": c.httpClient(nil), "admin": c.httpClient(&admin), "node": c.httpClient(&node), "stranger": c.httpClient(&stranger),
	}
	for _, step := range []struct {
		who, method, path string
		code              int
	}{
		{"nobody", "GET", "/healthz", 200},
		{"nobody", "GET", "/livez", 200},
		{"nobody", "GET", "/readyz", 200},
		{"nobody", "GET", "/version", 200},
		{"nobody", "GET", "/cacerts", 200},
		{"nobody", "GET", "/api", 401},
		{"nobody", "GET", "/api/v1/pods", 401},
		{"nobody", "GET", "/api/v1/nonsense", 401},
		{"nobody", "GET", "/metrics", 401},
		{"nobody", "GET", "/openapi/v2", 401},
		{"nobody", "GET", "/nonsense", 401},
		{"stranger", "GET", "/api", 200},
		{"stranger", "GET", "/openapi/v3", 200},
		{"stranger", "GET", "/api/v1/pods", 403},
		{"stranger", "GET", "/metrics", 403},
		{"stranger", "GET", "/debug/pprof/", 403},
		{"stranger", "GET", "/api/v1/namespaces/default/pods/x/log", 403},
		{"stranger", "POST", "/api/v1/namespaces/default/pods/x/exec", 403},
		{"node", "GET", "/api/v1/services", 200},
		{"node", "GET", "/api/v1/secrets", 403},
		{"admin", "GET", "/metrics", 200},
		{"admin", "GET", "/debug/pprof/cmdline", 200},
		{"admin", "GET", "/", 200},
		{"admin", "GET", "/nonsense", 404},
		{"admin", "GET", "/api/v1/nonsense", 404},
		{"admin", "GET", "/api/v2/pods", 404},
		{"admin", "GET", "/api/v1/namespaces/default/pods/x/nonsense", 404},
		{"admin", "GET", "/api/v1/namespaces/default/pods/x/log/more", 404},
		{"admin", "GET", "/api/v1/namespaces/default/nodes", 404},
		{"admin", "GET", "/api/v1/pods/x", 404},
		{"admin", "POST", "/api/v1/pods", 405},
		{"admin", "PUT", "/api/v1/namespaces/default/pods", 405},
		{"admin", "POST", "/healthz", 405},
		{"admin", "TRACE", "/api/v1/pods", 405},
		{"admin", "POST", "/api/v1/namespaces/default/pods/x/status", 405},
		{"admin", "DELETE", "/api/v1/namespaces/default/pods/x/log", 405},
		{"admin", "GET", "/api/v1/namespaces/default/pods/x/binding", 405},
	} {
		resp, body := c.do(clients[step.who], step.method, step.path, nil, "")
		if resp.StatusCode != step.code {
			t.Errorf("%s: %s %s: %d, want %d: %s", step.who, step.method, step.path, resp.StatusCode, step.code, body)
		}
		if step.code < 400 {
			continue
		}
		var status metav1.Status
		if err := json.Unmarshal(body, &status); err != nil || status.Kind != "Status" || int(status.Code) != step.code || status.Message == "" {
			t.Errorf("%s: %s %s: no Kubernetes status: %s", step.who, step.method, step.path, body)
		}
	}
	_, body := c.do(clients["stranger"], "GET", "/api/v1/namespaces/default/pods/x/log", nil, "")
	if want := `pods \"x\" is forbidden: User \"someone\" cannot get resource \"pods/log\" in API group \"\" in the namespace \"default\"`; !strings.Contains(string(body), want) {
		t.Errorf("no %s in %s", want, body)
	}
	resp, _ := c.do(clients["nobody"], "GET", "/api/v1/pods", header{"Authorization": "Bearer nonsense"}, "")
	if resp.StatusCode != 401 {
		t.Errorf("a bad token: %d", resp.StatusCode)
	}
}

func TestFormsOfAnswers(t *testing.T) {
	c := newCluster(t, nil)
	client := c.adminHTTP()
	const configMap = `{"metadata":{"name":"a"},"data":{"k":"v"},"dats":1}`
	const path = "/api/v1/namespaces/default/configmaps"

	resp, body := c.do(client, "POST", path, header{"Content-Type": "application/json"}, configMap)
	if resp.StatusCode != 201 || resp.Header.Get("Warning") != `299 - "unknown field \"dats\""` {
		t.Errorf("create: %d, Warning %q: %s", resp.StatusCode, resp.Header.Get("Warning"), body)
	}
	for _, step := range []struct {
		name, method, path string
		header             header
		body               string
		code               int
		want               string
	}{
		{"strict", "POST", path + "?fieldValidation=Strict", nil, strings.Replace(configMap, `"a"`, `"b"`, 1), 400, `unknown field \"dats\"`},
		{"bad fieldValidation", "POST", path + "?fieldValidation=Maybe", nil, configMap, 422, "fieldValidation"},
		{"dry run", "POST", path + "?dryRun=All", nil, `{"metadata":{"name":"dry"}}`, 201, `"name":"dry"`},
		{"bad dry run", "POST", path + "?dryRun=Some", nil, configMap, 422, "dryRun"},
		{"nothing dry", "GET", path + "/dry", nil, "", 404, `configmaps \"dry\" not found`},
		{"yaml", "GET", path + "/a", header{"Accept": "application/yaml"}, "", 200, "kind: ConfigMap\n"},
		{"pretty", "GET", path + "/a?pretty=true", nil, "", 200, "\n  \"kind\": \"ConfigMap\","},
		{"compact", "GET", path + "/a", nil, "", 200, `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"`},
		{"table", "GET", path + "/a", header{"Accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}, "", 200, `"cells":["a",1,"`},
		{"table without objects", "GET", path + "?includeObject=None", header{"Accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}, "", 200, `"object":null`},
		{"bad table", "GET", path + "?includeObject=Half", header{"Accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}, "", 400, "includeObject"},
		{"metadata", "GET", path + "/a", header{"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}, "", 200, `"kind":"PartialObjectMetadata"`},
		{"list of metadata", "GET", path, header{"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}, "", 200, `"kind":"PartialObjectMetadataList"`},
		{"not acceptable", "GET", path, header{"Accept": "image/png"}, "", 406, "only the following media types are accepted"},
		{"unknown body", "POST", path, header{"Content-Type": "text/csv"}, "a,b", 415, "the body of the request was in an unknown format"},
		{"unknown patch", "PATCH", path + "/a", header{"Content-Type": "application/json"}, "{}", 415, "application/strategic-merge-patch+json"},
		{"malformed", "POST", path, nil, `{"metadata":`, 400, "the object provided is unrecognized (must be of type ConfigMap)"},
		{"empty", "POST", path, nil, ``, 400, "the request has no body"},
		{"wrong kind", "POST", path, nil, `{"kind":"Pod","apiVersion":"v1"}`, 400, `Pod in version \"v1\" cannot be handled as a ConfigMap`},
		{"wrong namespace", "POST", path, nil, `{"metadata":{"name":"b","namespace":"other"}}`, 400, "the namespace of the provided object does not match the namespace sent on the request"},
		{"wrong name", "PUT", path + "/a", nil, `{"metadata":{"name":"b"}}`, 400, "the name of the object (b) does not match the name on the URL (a)"},
		{"bad number", "GET", path + "?limit=many", nil, "", 400, "many"},
		{"too large", "POST", path, nil, `{"metadata":{"name":"` + strings.Repeat("x", 3<<20) + `"}}`, 413, "limit is 3145728"},
		{"bad timeout", "GET", path + "?timeout=soon", nil, "", 400, "invalid timeout"},
		{"update without name", "PUT", path + "/a", nil, `{}`, 400, "name"},
		{"delete with another's uid", "DELETE", path + "/a", nil, `{"preconditions":{"uid":"x"}}`, 409, "the UID in the precondition"},
		{"delete", "DELETE", path + "/a?gracePeriodSeconds=0", nil, "", 200, `"status":"Success"`},
	} {
		resp, body := c.do(client, step.method, step.path, step.header, step.body)
		if resp.StatusCode != step.code || !strings.Contains(string(body), step.want) {
			t.Errorf("%s: %d, want %d with %s: %.500s", step.name, resp.StatusCode, step.code, step.want, body)
		}
	}
	// Bodies up to the store's own limit are taken, with and without a length.
	large := `{"metadata":{"generateName":"large-"},"data":{"k":"` + strings.Repeat("x", 1_000_000) + `"}}`
	for name, body := range map[string]io.Reader{"with a length": strings.NewReader(large), "without one": io.MultiReader(strings.NewReader(large))} {
		r, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+c.address+path, body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 201 {
			t.Errorf("1 MB %s: %d", name, resp.StatusCode)
		}
	}
	// A body whose length is not said is bounded too.
	r, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+c.address+path, io.MultiReader(bytes.NewReader(make([]byte, 2<<20)), bytes.NewReader(make([]byte, 2<<20))))
	if err != nil {
		t.Fatal(err)
	}
	if resp, err = client.Do(r); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 413 {
		t.Errorf("4 MiB without a length: %d", resp.StatusCode)
	}
}

// slowWrite begins a request whose body does not come, and returns what sends
// the rest of it and what the answer's code will be.
func (c *cluster) slowWrite() (feed *io.PipeWriter, code chan int) {
	c.t.Helper()
	body, feed := io.Pipe()
	r, err := http.NewRequestWithContext(c.t.Context(), "POST", "https://"+c.address+"/api/v1/namespaces", body)
	if err != nil {
		c.t.Fatal(err)
	}
	code = make(chan int, 1)
	client := c.adminHTTP()
	go func() {
		resp, err := client.Do(r)
		if err != nil {
			c.t.Error(err)
			code <- 0
			return
		}
		resp.Body.Close()
		code <- resp.StatusCode
	}()
	return feed, code
}

func TestSlowBody(t *testing.T) {
	c := newCluster(t, func(o *apiserver.Options) { o.RequestTimeout = 200 * time.Millisecond })
	feed, code := c.slowWrite()
	defer feed.Close()
	if got := <-code; got != 504 {
		t.Errorf("a body that does not come: %d", got)
	}
}

func TestLimits(t *testing.T) {
	c := newCluster(t, func(o *apiserver.Options) { o.MaxWrites, o.MaxWatches = 1, 1 })
	client := c.adminHTTP()

	feed, code := c.slowWrite()
	eventually(t, "429", func() bool {
		resp, _ := c.do(client, "DELETE", "/api/v1/namespaces/nope", nil, "")
		if resp.StatusCode == 429 && resp.Header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
		return resp.StatusCode == 429
	})
	if resp, _ := c.do(client, "GET", "/api/v1/namespaces/nope", nil, ""); resp.StatusCode != 404 {
		t.Errorf("a read while there is no place for writes: %d", resp.StatusCode)
	}
	if err := feed.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-code; got != 400 {
		t.Errorf("the slow writer got %d", got)
	}
	eventually(t, "the place to be free", func() bool {
		resp, _ := c.do(client, "DELETE", "/api/v1/namespaces/nope", nil, "")
		return resp.StatusCode == 404
	})

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", "https://"+c.address+"/api/v1/pods?watch=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	first, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Body.Close()
	if resp, _ := c.do(client, "GET", "/api/v1/pods?watch=1", nil, ""); resp.StatusCode != 429 {
		t.Errorf("a second watch: %d", resp.StatusCode)
	}
	if resp, _ := c.do(client, "GET", "/healthz", nil, ""); resp.StatusCode != 200 {
		t.Errorf("health of a full server: %d", resp.StatusCode)
	}
}

// A client that asks for much and reads nothing is cut off.
func TestUnreadAnswer(t *testing.T) {
	c := newCluster(t, func(o *apiserver.Options) { o.RequestTimeout, o.StallTimeout = time.Second, 200*time.Millisecond })
	ctx := auth.WithUser(t.Context(), auth.Admin())
	target := api.Target{Resource: schema.GroupResource{Resource: "configmaps"}, Namespace: "default"}
	for i := range 20 {
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("c", i)}, Data: map[string]string{"k": strings.Repeat("x", 900_000)}}
		if _, err := c.api.Create(ctx, target, cm, api.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+c.address+"/api/v1/configmaps", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.adminHTTP().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	client := c.adminHTTP()
	eventually(t, "the list to be given up", func() bool {
		_, metrics := c.do(client, "GET", "/metrics", nil, "")
		return strings.Contains(string(metrics), `pintle_apiserver_requests_in_flight{class="read"} 0`)
	})
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("an answer that was cut off looks complete after %d bytes", n)
	}
}

// A panic costs its own request alone.
func TestPanic(t *testing.T) {
	c := newCluster(t, func(o *apiserver.Options) {
		o.Checks = []apiserver.Check{
			{Name: "panics", Check: func(*http.Request) error { panic("on purpose") }},
			{Name: "fails", Check: func(*http.Request) error { return fmt.Errorf("it is down") }},
		}
	})
	client := c.adminHTTP()
	if resp, body := c.do(client, "GET", "/readyz/panics", nil, ""); resp.StatusCode != 500 || !strings.Contains(string(body), "this request caused a panic") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	resp, body := c.do(client, "GET", "/readyz?verbose&exclude=panics", nil, "")
	if resp.StatusCode != 500 || !strings.Contains(string(body), "[-]fails failed: it is down") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	resp, body = c.do(c.httpClient(nil), "GET", "/readyz?exclude=panics", nil, "")
	if resp.StatusCode != 500 || strings.Contains(string(body), "it is down") {
		t.Errorf("nobody is told: %d %s", resp.StatusCode, body)
	}
	if resp, _ := c.do(client, "GET", "/livez", nil, ""); resp.StatusCode != 200 {
		t.Errorf("livez: %d", resp.StatusCode)
	}
}

func TestGzip(t *testing.T) {
	c := newCluster(t, nil)
	pods := c.clientset(c.admin()).CoreV1().Pods("default")
	for i := range 20 {
		pod := testPod(fmt.Sprint("p", i))
		pod.Annotations = map[string]string{"note": strings.Repeat("x", 10_000)}
		if _, err := pods.Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	get := func(from string) (http.Header, []byte) {
		t.Helper()
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.RemoteAddr = from
			c.server.ServeHTTP(w, r)
		})
		r := httptest.NewRequest("GET", "/api/v1/pods", nil)
		r.Header.Set("Accept-Encoding", "gzip")
		resp, err := apiserver.InProcessConfig(handler, auth.Admin()).Transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.Header, body
	}
	h, near := get("127.0.0.1:1")
	if h.Get("Content-Encoding") != "" {
		t.Error("compressed for the same machine")
	}
	h, far := get("192.0.2.1:1")
	if h.Get("Content-Encoding") != "gzip" || len(far) > len(near)/2 {
		t.Errorf("%d bytes instead of %d, %v", len(far), len(near), h)
	}
}

func TestJoin(t *testing.T) {
	c := newCluster(t, nil)
	resp, body := c.do(c.httpClient(nil), "POST", auth.JoinPath, header{"Content-Type": "application/json"}, `{}`)
	if resp.StatusCode != 503 {
		t.Errorf("a server without join: %d %s", resp.StatusCode, body)
	}
	c = newCluster(t, func(o *apiserver.Options) {
		o.Join = func(ctx context.Context, body json.RawMessage) (any, error) {
			return map[string]string{"user": auth.UserFrom(ctx).Name, "body": string(body)}, nil
		}
	})
	resp, body = c.do(c.httpClient(nil), "POST", auth.JoinPath, header{"Content-Type": "application/json"}, `{"token":"x"}`)
	if resp.StatusCode != 200 || !strings.Contains(string(body), auth.UserAnonymous) || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}
