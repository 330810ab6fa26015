package e2e

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// TestNodeRestart stops pintled in peace and starts it again: containers run
// on meanwhile, what ended meanwhile is known, and probes go on.
func TestNodeRestart(t *testing.T) {
	h := newLAN(t).host()
	d := h.up()
	h.importImage(archive, nginx(t))
	h.apply(`
apiVersion: v1
kind: Pod
metadata: {name: stays}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: web, image: "` + image + `"}
  - name: probed
    image: "` + nginxImage + `"
    command: [sh, -c, "touch /tmp/alive; i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done"]
    livenessProbe: {exec: {command: [test, -e, /tmp/alive]}, periodSeconds: 1, failureThreshold: 2, initialDelaySeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: ends}
spec:
  restartPolicy: Never
  containers: [{name: c, image: "` + nginxImage + `", command: [sh, -c, "until test -e /host/end; do sleep 0.1; done; echo the end; exit 6"], volumeMounts: [{name: host, mountPath: /host}]}]
  volumes: [{name: host, hostPath: {path: "` + h.dir + `"}}]
`)
	h.waitReady("stays")
	h.waitReady("ends")
	pids := h.webservers()

	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-d.done:
	case <-time.After(30 * time.Second):
		t.Fatal("pintled does not stop")
	}
	if d.err != nil {
		t.Errorf("pintled ended: %v", d.err)
	}
	if left := h.pluginProcesses(); len(left) > 0 {
		t.Errorf("plugins without a core: %v", left)
	}
	must(t, "touch", h.dir+"/end")
	h.eventually(20*time.Second, func() error {
		if len(h.processes(func(argv []string) bool {
			return len(argv) > 2 && argv[2] == "until test -e /host/end; do sleep 0.1; done; echo the end; exit 6"
		})) > 0 {
			return errors.New("the container that should end runs on")
		}
		return nil
	})
	d = h.start("up", "--node-name", "n1")
	t.Cleanup(d.kill)
	d.waitReady("n1")

	pod := h.waitPhase("ends", corev1.PodFailed)
	if end := ended(pod, "c"); end.ExitCode != 6 || end.Reason != "Error" {
		t.Errorf("what ended meanwhile: %+v", end)
	}
	if out := h.mustKubectl("logs", "ends"); out != "the end\n" {
		t.Errorf("its logs: %q", out)
	}
	h.waitReady("stays")
	if now := h.webservers(); !slices.Equal(now, pids) {
		t.Errorf("web servers %v became %v", pids, now)
	}
	// Every line is there once.
	for i, line := range lines(h.mustKubectl("logs", "stays", "-c", "probed")) {
		if line != fmt.Sprint(i+1) {
			t.Fatalf("line %d of the log: %q", i+1, line)
		}
	}
	h.mustKubectl("exec", "stays", "-c", "probed", "--", "rm", "/tmp/alive")
	h.eventually(30*time.Second, func() error {
		if n := h.restarts("stays", "probed"); n != "1" {
			return fmt.Errorf("restarted %s times", n)
		}
		return nil
	})
	if now := h.webservers(); !slices.Equal(now, pids) {
		t.Errorf("web servers %v became %v", pids, now)
	}
}

// TestContainerdKilled kills the containerd that the node started: it comes
// back, containers run on, and new ones can be started.
func TestContainerdKilled(t *testing.T) {
	h := newLAN(t).host()
	h.up()
	h.importImage()
	h.mustKubectl("run", "old", "--image", image)
	h.waitReady("old")
	pids := h.webservers()
	daemons := func() []string {
		return h.processes(func(argv []string) bool { return filepath.Base(argv[0]) == "containerd" })
	}
	before := daemons()
	if len(before) != 1 {
		t.Fatalf("containerd: %v", before)
	}
	must(t, "kill", "-9", before[0])
	h.eventually(30*time.Second, func() error {
		if now := daemons(); len(now) != 1 || now[0] == before[0] {
			return fmt.Errorf("containerd: %v", now)
		}
		return nil
	})
	h.mustKubectl("run", "new", "--image", image)
	h.waitReady("new")
	h.mustKubectl("exec", "old", "--", "/webserver", "-h")
	if now := h.webservers(); !slices.Contains(now, pids[0]) || len(now) != 2 {
		t.Errorf("web servers %v became %v", pids, now)
	}
	if n := h.restarts("old", "old"); n != "0" {
		t.Errorf("restarted %s times", n)
	}
	d := h.mustKubectl("get", "node", "n1", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
	if d != "True" {
		t.Errorf("ready: %s", d)
	}
}
