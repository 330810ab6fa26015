package apiserver_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/pintle-io/pintle/core/apiserver"
	"github.com/pintle-io/pintle/core/auth"
)

// frames reads the lines of a watch stream.
type frames struct {
	t      testing.TB
	lines  chan string
	cancel context.CancelFunc
}

type frame struct {
	Type   string          `json:"type"`
	Object json.RawMessage `json:"object"`
}

// openWatch begins a watch with plain HTTP.
func (c *cluster) openWatch(path string, h header) *frames {
	c.t.Helper()
	admin := auth.Admin()
	ctx, cancel := context.WithCancel(c.t.Context())
	c.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+c.address+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	for key, value := range h {
		r.Header.Set(key, value)
	}
	resp, err := c.httpClient(&admin).Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		c.t.Fatalf("GET %s: %s", path, resp.Status)
	}
	f := &frames{t: c.t, lines: make(chan string, 1000), cancel: cancel}
	go func() {
		defer close(f.lines)
		defer resp.Body.Close()
		scanner := bufio.NewScanner(resp.Body)
		scanner.Buffer(nil, 4<<20)
		for scanner.Scan() {
			f.lines <- scanner.Text()
		}
	}()
	return f
}

// next returns the next frame; false at the stream's end.
func (f *frames) next() (frame, bool) {
	f.t.Helper()
	select {
	case line, ok := <-f.lines:
		if !ok {
			return frame{}, false
		}
		var v frame
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			f.t.Fatalf("%v in %s", err, line)
		}
		return v, true
	case <-time.After(30 * time.Second):
		f.t.Fatal("waited 30 s for an event")
	}
	return frame{}, false
}

func (f *frames) expect(eventType string, want ...string) frame {
	f.t.Helper()
	v, ok := f.next()
	if !ok {
		f.t.Fatalf("the stream ended while %s was awaited", eventType)
	}
	if v.Type != eventType {
		f.t.Fatalf("%s %s, want %s", v.Type, v.Object, eventType)
	}
	for _, w := range want {
		if !strings.Contains(string(v.Object), w) {
			f.t.Errorf("%s: no %s in %s", eventType, w, v.Object)
		}
	}
	return v
}

func TestWatchStream(t *testing.T) {
	c := newCluster(t, nil)
	client := c.clientset(c.admin())
	pods, ctx := client.CoreV1().Pods("default"), t.Context()
	first, err := pods.Create(ctx, testPod("a"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}

	table := c.openWatch("/api/v1/pods?watch=true&resourceVersion=0", header{"Accept": "application/json;as=Table;g=meta.k8s.io;v=v1,application/json"})
	partial := c.openWatch("/api/v1/pods?watch=true", header{"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"})
	after := c.openWatch("/api/v1/namespaces/default/pods?watch=1&resourceVersion="+first.ResourceVersion, nil)
	labelled := c.openWatch("/api/v1/pods?watch=1&labelSelector=color%3Dred&resourceVersion="+first.ResourceVersion, nil)
	old := c.openWatch("/api/v1/watch/namespaces/default/pods/b?resourceVersion="+first.ResourceVersion, nil)
	initial := c.openWatch("/api/v1/pods?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true", nil)

	table.expect("ADDED", `"columnDefinitions":[{"name":"Name"`, `"cells":["a","0/1"`)
	partial.expect("ADDED", `"kind":"PartialObjectMetadata"`, `"name":"a"`)
	initial.expect("ADDED", `"name":"a"`, `"kind":"Pod"`)
	initial.expect("BOOKMARK", `"kind":"Pod"`, `"k8s.io/initial-events-end":"true"`)

	if _, err := pods.Patch(ctx, "a", types.MergePatchType, []byte(`{"metadata":{"labels":{"color":"red"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if e := table.expect("MODIFIED", `"cells":["a"`); strings.Contains(string(e.Object), "columnDefinitions\":[{") {
		t.Error("the columns come twice")
	}
	partial.expect("MODIFIED", `"color":"red"`)
	after.expect("MODIFIED", `"color":"red"`)
	labelled.expect("ADDED", `"name":"a"`)
	if _, err := pods.Create(ctx, testPod("b"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	old.expect("ADDED", `"name":"b"`)
	if _, err := pods.Patch(ctx, "a", types.MergePatchType, []byte(`{"metadata":{"labels":{"color":"blue"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	labelled.expect("DELETED", `"name":"a"`)

	// The server's end of a watch is orderly: the stream ends, no more.
	short := c.openWatch("/api/v1/pods?watch=1&timeoutSeconds=1&resourceVersion="+first.ResourceVersion, nil)
	for {
		if _, ok := short.next(); !ok {
			break
		}
	}
}

func TestWatchErrors(t *testing.T) {
	c := newCluster(t, nil)
	admin := auth.Admin()
	client := c.httpClient(&admin)
	for _, step := range []struct {
		path string
		code int
		want string
	}{
		{"/api/v1/pods?watch=1&resourceVersion=nonsense", 422, "resourceVersion: Invalid value"},
		{"/api/v1/pods?watch=1&fieldSelector=spec.color%3Dred", 400, "field label not supported"},
		{"/api/v1/pods?watch=1&sendInitialEvents=true", 422, "resourceVersionMatch"},
		{"/api/v1/pods?watch=1&allowWatchBookmarks=perhaps&limit=x", 400, "x"},
	} {
		resp, body := c.do(client, "GET", step.path, nil, "")
		if resp.StatusCode != step.code || !strings.Contains(strings.ToLower(string(body)), strings.ToLower(step.want)) {
			t.Errorf("%s: %d %s", step.path, resp.StatusCode, body)
		}
	}
}

// However many watch, an event reaches each of them once and in order.
func TestManyWatchers(t *testing.T) {
	c := newCluster(t, nil)
	client := c.clientset(c.admin())
	ctx := t.Context()
	const watchers, events = 100, 50
	var streams []watch.Interface
	for range watchers {
		w, err := client.CoreV1().ConfigMaps("default").Watch(ctx, metav1.ListOptions{ResourceVersion: "1"})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
		streams = append(streams, w)
	}
	for i := range events {
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("c", i)}}
		if _, err := client.CoreV1().ConfigMaps("default").Create(ctx, cm, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for n, w := range streams {
		for i := range events {
			select {
			case e, ok := <-w.ResultChan():
				if !ok {
					t.Fatalf("watcher %d ended at event %d", n, i)
				}
				if cm, ok := e.Object.(*corev1.ConfigMap); !ok || cm.Name != fmt.Sprint("c", i) || e.Type != watch.Added {
					t.Fatalf("watcher %d, event %d: %s %v", n, i, e.Type, e.Object)
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("watcher %d waits for event %d", n, i)
			}
		}
	}
}

// Who does not read is cut off; writers and other watchers go on.
func TestStalledWatcher(t *testing.T) {
	for _, protocol := range []string{"http/1.1", "h2"} {
		t.Run(protocol, func(t *testing.T) {
			c := newCluster(t, func(o *apiserver.Options) { o.StallTimeout = 500 * time.Millisecond })
			client := c.clientset(c.admin())
			ctx := t.Context()
			admin := auth.Admin()
			plain := c.httpClient(&admin)
			plain.Transport.(*http.Transport).ForceAttemptHTTP2 = protocol == "h2"
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+c.address+"/api/v1/configmaps?watch=1&resourceVersion=1", nil)
			if err != nil {
				t.Fatal(err)
			}
			stalled, err := plain.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer stalled.Body.Close()
			if want := map[string]int{"http/1.1": 1, "h2": 2}[protocol]; stalled.ProtoMajor != want {
				t.Fatalf("protocol %s", stalled.Proto)
			}
			reading := c.openWatch("/api/v1/configmaps?watch=1&resourceVersion=1", nil)

			big := map[string]string{"data": strings.Repeat("x", 500_000)}
			cut := func() bool {
				_, metrics := c.do(c.adminHTTP(), "GET", "/metrics", nil, "")
				return strings.Contains(string(metrics), "pintle_apiserver_stalled_clients_total 1")
			}
			for i := 0; ; i++ {
				cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("c", i)}, Data: big}
				if _, err := client.CoreV1().ConfigMaps("default").Create(ctx, cm, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
				reading.expect("ADDED", fmt.Sprintf(`"name":"c%d"`, i))
				if cut() {
					break
				}
				if i == 200 {
					t.Fatal("a watcher that does not read was not cut off")
				}
				time.Sleep(20 * time.Millisecond) // the stall must last, whatever is written
			}
		})
	}
}

// A stop of the server ends its watches at once.
func TestDrain(t *testing.T) {
	c := newCluster(t, nil)
	stream := c.openWatch("/api/v1/pods?watch=1&resourceVersion=1", nil)
	c.server.Drain()
	if e, ok := stream.next(); ok {
		t.Errorf("%s %s", e.Type, e.Object)
	}
	admin := auth.Admin()
	if resp, body := c.do(c.httpClient(&admin), "GET", "/readyz", nil, ""); resp.StatusCode != 500 {
		t.Errorf("readyz of a server that stops: %d %s", resp.StatusCode, body)
	}
}
