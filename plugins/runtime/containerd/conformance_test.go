package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/conformance"
)

// TestConformance runs the kit over the real wire, with a containerd that the
// plugin starts below a directory of the test, and then leaves: nothing may be
// left.
func TestConformance(t *testing.T) {
	// The path of a socket is short: t.TempDir is not.
	dir, err := os.MkdirTemp("", "pcd")
	if err != nil {
		t.Fatal(err)
	}
	executable, probe := filepath.Join(dir, "runtime-containerd"), filepath.Join(dir, "probe")
	build(t, executable, ".")
	build(t, probe, "github.com/pintle-io/pintle/sdk/conformance/runtimeprobe")
	node := &pluginv1.NodeInfo{Name: "test", StateDir: filepath.Join(dir, "state"), RunDir: filepath.Join(dir, "run")}
	config := []byte(`{"ownDaemon": true}`)
	configFile := filepath.Join(dir, "config.json")
	for _, err := range []error{os.Mkdir(node.StateDir, 0o700), os.Mkdir(node.RunDir, 0o700), os.WriteFile(configFile, config, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command(executable, "leave", node.StateDir, node.RunDir, configFile).CombinedOutput(); err != nil {
			t.Errorf("leave: %v\n%s", err, out)
		}
		checkNothingLeft(t, dir, node)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	conformance.Test(t, conformance.Options{
		Executable: executable, Config: config, Node: node,
		Runtime: &conformance.RuntimeOptions{Program: probe},
	})
}

func build(t *testing.T, out, what string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", out, what)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
}
