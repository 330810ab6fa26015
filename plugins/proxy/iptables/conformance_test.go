package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pintle-io/pintle/sdk/conformance"
)

// TestConformance runs the kit over the real wire, in a process with a network
// namespace of its own.
func TestConformance(t *testing.T) {
	if inOwnNetwork(t) {
		executable := filepath.Join(t.TempDir(), "proxy-iptables")
		if out, err := exec.Command("go", "build", "-o", executable, ".").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		conformance.Test(t, conformance.Options{Executable: executable, OwnNetwork: true})
	}
}

// inOwnNetwork runs the calling test once more in a network namespace of its
// own, and tells which of the two this is.
func inOwnNetwork(t *testing.T) bool {
	t.Helper()
	const inside = "PINTLE_TEST_IN_OWN_NETWORK"
	if os.Getenv(inside) != "" {
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v=true", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	return false
}
