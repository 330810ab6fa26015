package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	pintlev1 "github.com/pintle-io/pintle/sdk/api/v1"
)

// TestKillPlugins kills every plugin, in turn and then at random, while pods
// come and go and a client asks a service without pause.
func TestKillPlugins(t *testing.T) {
	h := newLAN(t).host()
	h.up()
	h.importImage()
	h.apply(controllerOf("steady", 3, 1) + controllerOf("wave", 2, 1))
	h.waitPods("app=steady", 3)
	h.waitPods("app=wave", 2)
	before := h.containers("app=steady")
	poll := h.poll("steady")

	// Every plugin once, and the wave rises or falls with each.
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	kills := map[string]int32{}
	plugins := h.plugins()
	var names []string
	for _, p := range plugins {
		names = append(names, p.Name)
	}
	scale := func() int {
		n := random.IntN(5)
		h.mustKubectl("scale", "rc", "wave", "--replicas", strconv.Itoa(n))
		return n
	}
	replicas := 2
	for _, name := range names {
		replicas = scale()
		if h.killPlugin(name) {
			kills[name]++
		}
	}
	for range 8 {
		replicas = scale()
		for range 1 + random.IntN(3) {
			if name := names[random.IntN(len(names))]; h.killPlugin(name) {
				kills[name]++
			}
		}
	}
	h.waitPods("app=wave", replicas)
	for name, n := range kills {
		h.eventually(90*time.Second, func() error {
			p := h.plugin(name)
			if p.Status.Phase != pintlev1.PluginRunning || p.Status.Restarts < n {
				return fmt.Errorf("plugin %s was killed %d times and is %+v", name, n, p.Status)
			}
			return nil
		})
		h.eventually(20*time.Second, func() error {
			out, err := h.kubectl("get", "events", "-A", "--field-selector", "involvedObject.kind=Plugin,involvedObject.name="+name)
			if err != nil || !strings.Contains(out, "Started") || !strings.Contains(out, "Warning") {
				return fmt.Errorf("events of plugin %s: %v\n%s", name, err, out)
			}
			return nil
		})
	}
	// With all of them back, work goes on as before.
	h.mustKubectl("scale", "rc", "wave", "--replicas", "3")
	h.waitPods("app=wave", 3)
	h.eventually(30*time.Second, func() error { return h.endpointsMatch("wave") })
	h.eventually(30*time.Second, func() error { return h.endpointsMatch("steady") })

	asked, failed := poll()
	if len(failed) > 0 {
		t.Errorf("%d of %d requests failed, first: %v", len(failed), asked, failed[0])
	}
	if after := h.containers("app=steady"); !slices.Equal(before, after) {
		t.Errorf("containers %v became %v", before, after)
	}
	if out := h.mustKubectl("get", "pods", "-o", "jsonpath={.items[*].status.containerStatuses[*].restartCount}"); strings.Trim(out, "0 ") != "" {
		t.Errorf("restarts: %s", out)
	}
	t.Logf("kills %v, %d requests answered", kills, asked)
	h.mustKubectl("delete", "rc", "wave", "steady")
	h.waitPods("app=wave", 0)
	h.waitPods("app=steady", 0)
}

// controllerOf is a replication controller of web servers with a service.
func controllerOf(name string, replicas, grace int) string {
	return fmt.Sprintf(`
---
apiVersion: v1
kind: ReplicationController
metadata: {name: %[1]s}
spec:
  replicas: %[2]d
  selector: {app: %[1]s}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      terminationGracePeriodSeconds: %[3]d
      containers: [{name: web, image: %[4]q, ports: [{containerPort: 8080}], volumeMounts: [{name: v, mountPath: /v}]}]
      volumes: [{name: v, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: %[1]s}
spec: {selector: {app: %[1]s}, ports: [{port: 80, targetPort: 8080}]}
`, name, replicas, grace, image)
}

// poll asks a service without pause until the returned function is called, which
// tells how often, and what failed.
func (h *host) poll(service string) (end func() (asked int, failed []error)) {
	h.t.Helper()
	address := h.mustKubectl("get", "service", service, "-o", "jsonpath={.spec.clusterIP}")
	client := h.web(5 * time.Second)
	ask := func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
		if err != nil {
			return err
		}
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err == nil && !strings.HasPrefix(string(body), "Hello from "+service+"-") {
			err = fmt.Errorf("the answer is %q", body)
		}
		return err
	}
	h.eventually(20*time.Second, func() error { return ask(context.Background()) })
	ctx, cancel := context.WithCancel(context.Background())
	var asked int
	var failed []error
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			if err := ask(ctx); err != nil && ctx.Err() == nil {
				failed = append(failed, fmt.Errorf("%s: %w", time.Now().UTC().Format(time.TimeOnly), err))
			}
			asked++
			// Leaves the processor to what is tested.
			time.Sleep(5 * time.Millisecond)
		}
	})
	end = func() (int, []error) {
		cancel()
		running.Wait()
		return asked, failed
	}
	h.t.Cleanup(func() { end() })
	return end
}

// containers are the container IDs and restarts of pods.
func (h *host) containers(selector string) []string {
	h.t.Helper()
	pods, err := h.clientset().CoreV1().Pods("").List(context.Background(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		h.t.Fatal(err)
	}
	var found []string
	for _, p := range pods.Items {
		for _, c := range p.Status.ContainerStatuses {
			found = append(found, fmt.Sprintf("%s %s %d", p.Name, c.ContainerID, c.RestartCount))
		}
	}
	slices.Sort(found)
	return found
}

// endpointsMatch tells whether a service has exactly the addresses of its pods.
func (h *host) endpointsMatch(service string) error {
	ctx, client := context.Background(), h.clientset()
	pods, err := client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{LabelSelector: "app=" + service})
	if err != nil {
		return err
	}
	endpoints, err := client.CoreV1().Endpoints("default").Get(ctx, service, metav1.GetOptions{})
	if err != nil {
		return err
	}
	var want, have []string
	for _, p := range pods.Items {
		want = append(want, p.Status.PodIP)
	}
	for _, s := range endpoints.Subsets {
		for _, a := range s.Addresses {
			have = append(have, a.IP)
		}
	}
	slices.Sort(want)
	slices.Sort(have)
	if !slices.Equal(want, have) {
		return fmt.Errorf("the endpoints of %s are %v and its pods %v", service, have, want)
	}
	return nil
}

func (h *host) plugins() []pintlev1.Plugin {
	h.t.Helper()
	var list pintlev1.PluginList
	if err := json.Unmarshal([]byte(h.mustKubectl("get", "plugins", "-o", "json")), &list); err != nil {
		h.t.Fatal(err)
	}
	return list.Items
}

func (h *host) plugin(name string) *pintlev1.Plugin {
	h.t.Helper()
	var p pintlev1.Plugin
	if err := json.Unmarshal([]byte(h.mustKubectl("get", "plugin", name, "-o", "json")), &p); err != nil {
		h.t.Fatal(err)
	}
	return &p
}

// processOf is the process of a plugin, on the server or on its one node.
func processOf(p *pintlev1.Plugin) pintlev1.PluginProcess {
	if len(p.Status.Nodes) > 0 {
		return p.Status.Nodes[0].PluginProcess
	}
	return p.Status.PluginProcess
}

// signalPlugin sends a signal to a plugin's process and tells which it was; 0
// when none runs now.
func (h *host) signalPlugin(name string, s syscall.Signal) int {
	h.t.Helper()
	pid := processOf(h.plugin(name)).PID
	// The status may be of a moment ago: only what still is this host's plugin
	// is hit.
	if pid == 0 || !slices.Contains(h.pluginProcesses(), strconv.Itoa(pid)) {
		return 0
	}
	if err := syscall.Kill(pid, s); err != nil {
		return 0
	}
	return pid
}

func (h *host) killPlugin(name string) bool { return h.signalPlugin(name, syscall.SIGKILL) != 0 }
