package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// memoryLimit is what the server may come to under what this test does to it,
// in bytes.
const memoryLimit = 1 << 30

// TestHostileRequests sends what is too much of everything, and a client beside
// it goes on being served.
func TestHostileRequests(t *testing.T) {
	h := newLAN(t).host()
	t.Cleanup(h.reset)
	d := h.server()
	client := h.clientset()
	for i := range 200 {
		_, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("c%d", i), Labels: map[string]string{"n": strconv.Itoa(i % 10)}},
			Data:       map[string]string{"k": strings.Repeat("x", 4<<10)},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	served := h.serveMeanwhile(client)

	raw, err := rest.HTTPClientFor(h.admin())
	if err != nil {
		t.Fatal(err)
	}
	base := "https://" + h.address + ":6443"
	ask := func(method, path, kind string, body []byte) (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, base+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", kind)
		answer, err := raw.Do(request)
		if err != nil {
			// The server may end the connection on what it will not read.
			return 0, err.Error()
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(text)
	}
	const configMaps = "/api/v1/namespaces/default/configmaps"
	giant := strings.Repeat("n%20in%20(1,2,3),", 50_000) + "n"
	deepYAML := "data: " + strings.Repeat("[", 500_000) + strings.Repeat("]", 500_000)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	for name, c := range map[string]struct{ method, path, kind, body string }{
		"a giant selector":       {http.MethodGet, configMaps + "?labelSelector=" + giant, "", ""},
		"a malformed selector":   {http.MethodGet, configMaps + "?labelSelector=" + strings.Repeat("(", 10_000), "", ""},
		"deep YAML":              {http.MethodPost, configMaps, "application/yaml", deepYAML},
		"YAML that multiplies":   {http.MethodPost, configMaps, "application/yaml", bomb},
		"deep JSON":              {http.MethodPost, configMaps, "application/json", `{"kind":"ConfigMap","apiVersion":"v1","data":` + strings.Repeat("[", 1_000_000)},
		"a body over the limit":  {http.MethodPost, configMaps, "application/json", `{"x":"` + strings.Repeat("x", 16<<20) + `"}`},
		"a patch of many steps":  {http.MethodPatch, configMaps + "/c0", "application/json-patch+json", "[" + strings.Repeat(`{"op":"copy","from":"/data","path":"/data/x"},`, 30_000) + `{"op":"remove","path":"/data"}]`},
		"a malformed token":      {http.MethodGet, configMaps + "?limit=1&continue=" + strings.Repeat("x", 10_000), "", ""},
		"a path of many parts":   {http.MethodGet, strings.Repeat("/x", 5000), "", ""},
		"protobuf that is noise": {http.MethodPost, configMaps, "application/vnd.kubernetes.protobuf", "k8s\x00" + strings.Repeat("\xff", 1<<20)},
	} {
		code, text := ask(c.method, c.path, c.kind, []byte(c.body))
		t.Logf("%s: %d %.150s", name, code, text)
		if code >= 500 || code >= 200 && code < 300 {
			t.Errorf("%s: %d: %.300s", name, code, text)
		}
	}
	// As many as the limit allows.
	if code, text := ask(http.MethodGet, configMaps+"?labelSelector="+strings.Repeat("n=1,", 999)+"n=1", "", nil); code != http.StatusOK {
		t.Errorf("1,000 requirements: %d %.300s", code, text)
	}

	// 100,000 requirements, from clients that list in a circle.
	var lists atomic.Int64
	var listing sync.WaitGroup
	for worker := range 50 {
		listing.Go(func() {
			for i := range 40 {
				selector := fmt.Sprintf("n=%d", i%10)
				for r := range 49 {
					selector += fmt.Sprintf(",l%d!=w%d-%d", r, worker, i)
				}
				list, err := client.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{LabelSelector: selector, Limit: 1})
				if err != nil || len(list.Items) != 1 {
					t.Errorf("selector %s: %d objects, %v", selector, len(list.Items), err)
					return
				}
				lists.Add(1)
			}
		})
	}
	listing.Wait()
	n, slowest := served()
	t.Logf("%d lists; beside them %d writes, the slowest took %v; memory %d MiB at most", lists.Load(), n, slowest, d.peakMemory(t)>>20)
	if peak := d.peakMemory(t); peak > memoryLimit {
		t.Errorf("the server came to %d MiB", peak>>20)
	}
	d.end()
}

// serveMeanwhile writes and reads as an ordinary client until the returned
// function is called, which tells how often, and the longest that one took.
func (h *host) serveMeanwhile(client *kubernetes.Clientset) func() (n int, slowest time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var n int
	var slowest time.Duration
	running.Go(func() {
		for ; ctx.Err() == nil; n++ {
			start := time.Now()
			_, err := client.CoreV1().ConfigMaps("default").Create(context.Background(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("meanwhile-%d", n)}}, metav1.CreateOptions{})
			if err != nil {
				h.t.Errorf("an ordinary write: %v", err)
				return
			}
			slowest = max(slowest, time.Since(start))
			time.Sleep(10 * time.Millisecond)
		}
	})
	end := func() (int, time.Duration) {
		cancel()
		running.Wait()
		return n, slowest
	}
	h.t.Cleanup(func() { end() })
	return end
}

// peakMemory is the most that pintled itself had resident, in bytes.
func (d *daemon) peakMemory(t *testing.T) int64 {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines(string(content)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("there is no VmHWM")
	return 0
}
