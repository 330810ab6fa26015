package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	pintlev1 "github.com/pintle-io/pintle/sdk/api/v1"
)

// TestPluginFaults has plugins that are wrong in all the ways an operator meets,
// beside ones that work and go on working.
func TestPluginFaults(t *testing.T) {
	h := newLAN(t).host()
	h.up()
	h.importImage()
	h.apply(controllerOf("steady", 2, 1) + controllerOf("wave", 1, 1))
	h.waitPods("app=steady", 2)
	h.waitPods("app=wave", 1)
	before := h.containers("app=steady")
	poll := h.poll("steady")

	t.Run("wrong versions, crashes, checksums and configurations", func(t *testing.T) { h.wrongPlugins(t) })
	t.Run("plugins that hang", func(t *testing.T) {
		// A loop, the network and a volume type, at the same time.
		hung := map[string]int{}
		for _, name := range []string{"replication", "network", "emptydir"} {
			pid := h.signalPlugin(name, syscall.SIGSTOP)
			if pid == 0 {
				t.Fatalf("plugin %s does not run", name)
			}
			hung[name] = pid
			t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
		}
		// What needs none of them goes on: the scheduler, the runtime, the API.
		h.apply("---\n" + `{apiVersion: v1, kind: Pod, metadata: {name: alone, labels: {app: alone}}, spec: {hostNetwork: true, containers: [{name: c, image: "` + image + `", command: [/webserver, -listen, "127.0.0.1:8099"]}]}}`)
		h.waitPods("app=alone", 1)
		h.mustKubectl("scale", "rc", "wave", "--replicas", "3")
		for name, pid := range hung {
			h.eventually(time.Minute, func() error {
				p := h.plugin(name)
				if process := processOf(p); process.Phase != pintlev1.PluginRunning || process.PID == pid || process.Restarts == 0 || !strings.Contains(process.LastError, "health checks") {
					return fmt.Errorf("plugin %s: %+v", name, p.Status)
				}
				return nil
			})
		}
		h.waitPods("app=wave", 3)
		h.mustKubectl("delete", "pod", "alone")
	})
	t.Run("the runtime is taken away and comes back", func(t *testing.T) {
		plugin := h.mustKubectl("get", "plugin", "runtime", "-o", "json")
		h.mustKubectl("delete", "plugin", "runtime")
		h.eventually(30*time.Second, func() error {
			out, err := h.kubectl("get", "node", "n1", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")]}`)
			if err != nil || !strings.Contains(out, `"status":"False"`) || !strings.Contains(out, "runtime") {
				return fmt.Errorf("%s, %v", out, err)
			}
			return nil
		})
		if _, err := h.kubectlWith(withoutServerFields(plugin), "create", "-f", "-"); err != nil {
			t.Fatal(err)
		}
		h.eventually(time.Minute, func() error {
			out, err := h.kubectl("get", "node", "n1", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
			if err != nil || out != "True" {
				return fmt.Errorf("%s, %v", out, err)
			}
			return nil
		})
		h.mustKubectl("scale", "rc", "wave", "--replicas", "2")
		h.waitPods("app=wave", 2)
	})
	if after := h.containers("app=steady"); !slices.Equal(before, after) {
		t.Errorf("containers %v became %v", before, after)
	}
	asked, failed := poll()
	t.Logf("%d requests", asked)
	if len(failed) > 0 {
		t.Errorf("%d of %d requests failed, first: %v", len(failed), asked, failed[0])
	}
}

// wrongPlugins makes plugins that can't run, each for another reason.
func (h *host) wrongPlugins(t *testing.T) {
	script := func(name, text string) string {
		path := filepath.Join(h.dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	emptydir := filepath.Join(bin, "plugins", "volume-emptydir")
	content, err := os.ReadFile(emptydir)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	real, wrong := fmt.Sprintf("%x", sum), strings.Repeat("0", 64)
	cases := map[string]struct {
		spec  string
		phase pintlev1.PluginPhase
		says  []string
	}{
		"newer": {
			`type: controller, executable: ` + script("newer", `echo "1|9|unix|/no/such/socket|grpc"; exec sleep 60`),
			pintlev1.PluginFailed, []string{"version 9", "version 1", "upgrade pintled"},
		},
		"crashing": {
			`type: controller, executable: ` + script("crashing", "echo the database is on fire >&2; exit 3"),
			pintlev1.PluginCrashLoop, []string{"ended before the handshake", "exit status 3", "the database is on fire"},
		},
		"mute": {
			`type: volume, executable: ` + script("mute", "echo cannot find my keys >&2; exit 1"),
			pintlev1.PluginCrashLoop, []string{"cannot find my keys"},
		},
		"forged": {
			`type: volume, executable: ` + emptydir + `, sha256: "` + wrong + `"`,
			pintlev1.PluginFailed, []string{real, wrong},
		},
		"directory": {`type: volume, executable: ` + h.dir, pintlev1.PluginFailed, []string{h.dir}},
	}
	for name, c := range cases {
		h.apply("---\n{apiVersion: pintle.io/v1, kind: Plugin, metadata: {name: " + name + "}, spec: {" + c.spec + "}}")
	}
	for name, c := range cases {
		h.pluginSays(t, name, c.phase, c.says...)
		h.mustKubectl("delete", "plugin", name)
	}

	// A configuration with a typing error leaves the plugin as it was.
	was := processOf(h.plugin("proxy"))
	h.mustKubectl("patch", "plugin", "proxy", "--type", "merge", "-p", `{"spec":{"config":{"masqueradeEverything":true}}}`)
	h.pluginSays(t, "proxy", pintlev1.PluginRunning, "masqueradeEverything")
	if now := processOf(h.plugin("proxy")); now.PID != was.PID {
		t.Errorf("process %d became %d", was.PID, now.PID)
	}
	h.mustKubectl("patch", "plugin", "proxy", "--type", "json", "-p", `[{"op":"remove","path":"/spec/config"}]`)
	h.eventually(30*time.Second, func() error {
		if p := processOf(h.plugin("proxy")); p.Phase != pintlev1.PluginRunning || p.LastError != "" {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
}

// pluginSays waits for a phase and words of a plugin's status.
func (h *host) pluginSays(t *testing.T, name string, phase pintlev1.PluginPhase, says ...string) {
	t.Helper()
	h.eventually(30*time.Second, func() error {
		p := h.plugin(name)
		for _, s := range says {
			if !strings.Contains(p.Status.LastError, s) {
				return fmt.Errorf("the status of %s does not say %q: %+v", name, s, p.Status)
			}
		}
		if p.Status.Phase != phase {
			return fmt.Errorf("plugin %s is not %s: %+v", name, phase, p.Status)
		}
		return nil
	})
}

// withoutServerFields is an object, in JSON, as one would make it again.
func withoutServerFields(object string) string {
	var o map[string]any
	if err := json.Unmarshal([]byte(object), &o); err != nil {
		return err.Error() // kubectl will say that this is no manifest.
	}
	o["metadata"] = map[string]any{"name": o["metadata"].(map[string]any)["name"]}
	delete(o, "status")
	content, err := json.Marshal(o)
	if err != nil {
		return err.Error()
	}
	return string(content)
}

// TestNoContainerd runs on a machine that has no containerd, and names one that
// is not there: the node says that it can't run pods, and why.
func TestNoContainerd(t *testing.T) {
	h := newLAN(t).host()
	t.Cleanup(h.reset)
	h.onlyPrograms("nsenter", "iptables", "iptables-save", "iptables-restore", "ip6tables", "mount", "umount", "modprobe", "ip", "kubectl", "curl")
	d := h.start("up", "--node-name", "n1")
	t.Cleanup(d.kill)
	for _, c := range []struct{ config, says string }{
		{"", "containerd"},
		{`{"address": "/no/such/containerd.sock"}`, "/no/such/containerd.sock"},
	} {
		if c.config != "" {
			h.mustKubectl("patch", "plugin", "runtime", "--type", "merge", "-p", `{"spec":{"config":`+c.config+`}}`)
		}
		h.eventually(time.Minute, func() error {
			plugin, err := h.kubectl("get", "plugin", "runtime", "-o", "jsonpath={.status.phase}: {.status.lastError}")
			if err != nil || strings.HasPrefix(plugin, "Running") || !strings.Contains(plugin, c.says) {
				return fmt.Errorf("plugin: %q, %v\n%s", plugin, err, d.tail())
			}
			node, err := h.kubectl("get", "node", "n1", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")]}`)
			if err != nil || !strings.Contains(node, `"status":"False"`) || !strings.Contains(node, c.says) {
				return fmt.Errorf("node: %q, %v\n%s", node, err, d.tail())
			}
			return nil
		})
		t.Log(h.mustKubectl("get", "plugin", "runtime", "-o", "jsonpath={.status.lastError}"))
		t.Log(h.mustKubectl("get", "node", "n1", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].message}`))
	}
	d.end()
}

// onlyPrograms leaves a search path with these programs alone.
func (h *host) onlyPrograms(names ...string) {
	h.t.Helper()
	dir := filepath.Join(h.dir, "programs")
	if err := os.Mkdir(dir, 0o755); err != nil {
		h.t.Fatal(err)
	}
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			continue // What needs it will say so.
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			h.t.Fatal(err)
		}
	}
	h.t.Setenv("PATH", dir)
}

// TestNotRoot runs what needs root without.
func TestNotRoot(t *testing.T) {
	dir, err := os.MkdirTemp("/var/tmp", "pe")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, role := range [][]string{{"up"}, {"server"}, {"agent", "--server", "https://127.0.0.1:6443"}, {"reset"}} {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, filepath.Join(bin, "pintled"), append(role, "--state-dir", dir+"/state", "--run-dir", dir+"/run")...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if role[0] == "reset" && err == nil {
			continue // There is nothing to take back.
		}
		if err == nil || !strings.Contains(string(out), "needs root") {
			t.Errorf("pintled %v: %v: %s", role, err, out)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
