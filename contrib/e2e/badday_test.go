package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBadDays makes what goes wrong for users go wrong, and looks for a clear
// word where a person would look.
func TestBadDays(t *testing.T) {
	h := newLAN(t).host()
	h.up()
	h.importImage()

	t.Run("a second pintled on the same state", func(t *testing.T) {
		out := h.fails(t, "up", h.dirs()...)
		mustSay(t, out, "another pintled", h.stateDir(), "--state-dir")
	})
	t.Run("a port that is taken", func(t *testing.T) {
		out := h.fails(t, "up", "--state-dir", filepath.Join(h.dir, "other"), "--run-dir", filepath.Join(h.dir, "otherrun"))
		mustSay(t, out, "6443", "address already in use", "--listen")
	})
	t.Run("a run directory that is too long", func(t *testing.T) {
		mustSay(t, h.fails(t, "up", "--state-dir", filepath.Join(h.dir, "other"), "--run-dir", "/run/"+strings.Repeat("x", 100)), "--run-dir")
	})
	t.Run("an image that does not exist", func(t *testing.T) {
		h.apply(`
apiVersion: v1
kind: Pod
metadata: {name: noimage}
spec: {containers: [{name: c, image: "pintle.io/no/such:1", imagePullPolicy: Never}]}
`)
		h.eventsOf(t, "noimage", "ErrImageNeverPull")
		h.mustKubectl("delete", "pod", "noimage", "--grace-period=0", "--force")
	})
	t.Run("a volume type without a plugin", func(t *testing.T) {
		h.apply(`
apiVersion: v1
kind: Pod
metadata: {name: novolume}
spec:
  containers: [{name: c, image: "` + image + `", volumeMounts: [{name: v, mountPath: /v}]}]
  volumes: [{name: v, csi: {driver: no.such.driver}}]
`)
		h.eventsOf(t, "novolume", "no.such.driver")
		h.mustKubectl("delete", "pod", "novolume", "--grace-period=0", "--force")
	})
	t.Run("a command that does not exist", func(t *testing.T) {
		h.apply(`
apiVersion: v1
kind: Pod
metadata: {name: nocommand}
spec: {containers: [{name: c, image: "` + image + `", command: [/no/such/command]}]}
`)
		h.eventsOf(t, "nocommand", "/no/such/command")
		h.mustKubectl("delete", "pod", "nocommand", "--grace-period=0", "--force")
	})
	t.Run("a pod that fits nowhere", func(t *testing.T) {
		h.apply(`
apiVersion: v1
kind: Pod
metadata: {name: nofit}
spec: {containers: [{name: c, image: "` + image + `", resources: {requests: {cpu: "1000"}}}]}
`)
		h.eventsOf(t, "nofit", "0/1 nodes are available: 1 Insufficient cpu.")
		h.mustKubectl("delete", "pod", "nofit")
	})
	t.Run("manifests that are wrong", func(t *testing.T) {
		for manifest, want := range map[string]string{
			"{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {containers: [{name: c, image: i, colour: red}]}}": `unknown field "spec.containers[0].colour"`,
			"{apiVersion: v1, kind: Pod, metadata: {name: X}, spec: {containers: [{name: c, image: i}]}}":              "metadata.name: Invalid value",
			"{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {containers: []}}":                                 "spec.containers: Required value",
			"{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}}":                                             "no matches for kind",
			"{apiVersion: v1, kind: [": "yaml",
		} {
			_, err := h.kubectlWith("---\n"+manifest, "apply", "-f", "-")
			if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(want)) {
				t.Errorf("%s: %v, and not %q", manifest, err, want)
			}
		}
	})
	t.Run("an object that is too large", func(t *testing.T) {
		file := filepath.Join(h.dir, "large")
		if err := os.WriteFile(file, []byte(strings.Repeat("x", 2<<20)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := h.kubectl("create", "configmap", "large", "--from-file", file); err == nil || !strings.Contains(strings.ToLower(err.Error()), "too l") {
			t.Errorf("%v", err)
		}
	})
	t.Run("plugins that are missing or no plugins", func(t *testing.T) {
		garbage := filepath.Join(h.dir, "garbage")
		if err := os.WriteFile(garbage, []byte("#!/bin/sh\necho hello, I am no plugin\nsleep 60\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct{ executable, want string }{
			"missing": {"/no/such/plugin", "/no/such/plugin"},
			"garbage": {garbage, "hello, I am no plugin"},
			"other":   {filepath.Join(bin, "plugins", "volume-emptydir"), "emptydir"},
		} {
			h.apply(fmt.Sprintf("---\n{apiVersion: pintle.io/v1, kind: Plugin, metadata: {name: %s}, spec: {type: controller, name: %s, executable: %q}}", name, name, c.executable))
			h.eventually(30*time.Second, func() error {
				out, err := h.kubectl("get", "plugin", name, "-o", "jsonpath={.status.phase}: {.status.lastError}")
				if err != nil || !strings.Contains(out, c.want) || strings.HasPrefix(out, "Running") {
					return fmt.Errorf("%q, %v", out, err)
				}
				return nil
			})
			h.mustKubectl("delete", "plugin", name)
		}
	})
	t.Run("a plugin that crashes", func(t *testing.T) {
		before := h.mustKubectl("get", "plugin", "replication", "-o", "jsonpath={.status.pid}")
		h.must("kill", "-9", before)
		h.eventually(30*time.Second, func() error {
			out, err := h.kubectl("get", "plugin", "replication", "-o", "jsonpath={.status.phase} {.status.pid} {.status.restarts}")
			if err != nil || !strings.HasPrefix(out, "Running") || strings.Contains(out, " "+before+" ") || strings.HasSuffix(out, " 0") {
				return fmt.Errorf("%q, %v", out, err)
			}
			return nil
		})
	})
}

// fails runs pintled in a way that must end at once with an error.
func (h *host) fails(t *testing.T, role string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, err := h.command(ctx, append([]string{filepath.Join(bin, "pintled"), role}, args...)...).CombinedOutput()
	if err == nil || ctx.Err() != nil {
		t.Fatalf("pintled %s %v: %v\n%s", role, args, err, out)
	}
	return string(out)
}

func mustSay(t *testing.T, out string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(out, w) {
			t.Errorf("%q is not in: %s", w, out)
		}
	}
}

// eventsOf waits until a pod's events say something.
func (h *host) eventsOf(t *testing.T, pod, want string) {
	t.Helper()
	h.eventually(30*time.Second, func() error {
		out, err := h.kubectl("get", "events", "--field-selector", "involvedObject.name="+pod)
		if err != nil || !strings.Contains(out, want) {
			return fmt.Errorf("the events of %s don't say %q: %v\n%s", pod, want, err, out)
		}
		return nil
	})
}
