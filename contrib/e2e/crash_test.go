package e2e

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestKill kills pintled twenty times at random moments while pods run and
// objects are written.
func TestKill(t *testing.T) {
	h := newLAN(t).host()
	d := h.up()
	h.importImage()
	h.apply(`
apiVersion: v1
kind: ReplicationController
metadata: {name: web}
spec:
  replicas: 3
  selector: {app: web}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: web, image: "` + image + `"}]
`)
	h.waitPods("app=web", 3)
	pids := h.webservers()
	if len(pids) != 3 {
		t.Fatalf("web servers: %v", pids)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var acknowledged []string
	for cycle := range 20 {
		stop := time.After(time.Duration(random.IntN(1500)) * time.Millisecond)
		for written := 0; ; written++ {
			name := fmt.Sprintf("c%d-%d", cycle, written)
			if _, err := h.kubectl("create", "configmap", name, "--from-literal=k=v"); err == nil {
				acknowledged = append(acknowledged, "configmap/"+name)
			}
			select {
			case <-stop:
			default:
				continue
			}
			break
		}
		d.kill()
		h.eventually(10*time.Second, func() error {
			if left := h.pluginProcesses(); len(left) > 0 {
				return fmt.Errorf("plugins without a core: %v", left)
			}
			return nil
		})
		d = h.start("up", "--node-name", "n1")
		t.Cleanup(d.kill)
		d.waitReady("n1")
		have := strings.Fields(h.mustKubectl("get", "configmaps", "-o", "name"))
		for _, name := range acknowledged {
			if !slices.Contains(have, name) {
				t.Fatalf("after kill %d: %s was acknowledged and is gone", cycle+1, name)
			}
		}
		if now := h.webservers(); !slices.Equal(now, pids) {
			t.Fatalf("after kill %d: web servers %v became %v", cycle+1, pids, now)
		}
	}
	h.waitPods("app=web", 3)
	if n := h.mustKubectl("get", "pods", "-o", "jsonpath={.items[*].status.containerStatuses[*].restartCount}"); n != "0 0 0" {
		t.Errorf("restarts: %s", n)
	}
	t.Logf("20 kills, %d objects acknowledged and found, containers %v untouched", len(acknowledged), pids)
}

// webservers are the process IDs of the web servers in this host's containers.
func (h *host) webservers() []string {
	h.t.Helper()
	return h.processes(func(argv []string) bool { return argv[0] == "/webserver" })
}

// pluginProcesses are the plugins of this host's pintled.
func (h *host) pluginProcesses() []string {
	h.t.Helper()
	return h.processes(func(argv []string) bool {
		return strings.HasPrefix(argv[0], filepath.Join(bin, "plugins")+"/") && len(argv) == 1
	})
}

// processes finds those of this host's network, or of namespaces below it, by
// their arguments.
func (h *host) processes(match func(argv []string) bool) []string {
	var found []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		if argv := strings.Split(read(file), "\x00"); match(argv[:max(1, len(argv)-1)]) && h.owns(filepath.Dir(file)) {
			found = append(found, filepath.Base(filepath.Dir(file)))
		}
	}
	slices.Sort(found)
	return found
}

// owns tells whether a process, by its directory in /proc, is in the host's
// network, or in a container whose files are the host's.
func (h *host) owns(proc string) bool {
	same := func(a, b string) bool {
		var here, there syscall.Stat_t
		return syscall.Stat(a, &here) == nil && syscall.Stat(b, &there) == nil && here.Dev == there.Dev && here.Ino == there.Ino
	}
	if same("/run/netns/"+h.name, proc+"/ns/net") {
		return true
	}
	// All mounts are seen by processes that are in no container.
	return !same("/proc/self/ns/mnt", proc+"/ns/mnt") && strings.Contains(read(proc+"/mountinfo"), h.dir+"/")
}
