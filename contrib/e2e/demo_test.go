package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDemo plays the demo twice on one machine, as "make demo" does, and takes
// everything back.
func TestDemo(t *testing.T) {
	h := newLAN(t).host()
	t.Cleanup(func() {
		// No other cluster runs on this machine now, so none may be left.
		for _, pattern := range []string{"/sys/fs/cgroup/pintle", "/sys/fs/cgroup/*/pintle"} {
			if left, err := filepath.Glob(pattern); err != nil || len(left) > 0 {
				t.Errorf("cgroups left behind: %v, %v", left, err)
			}
		}
	})
	t.Cleanup(h.reset)
	args := []string{
		filepath.Join(bin, "demo", "demo"), "-bin", bin, "-state-dir", h.stateDir(),
		"-pintled-args", "--run-dir " + h.runDir() + " --node-name n1",
	}
	for _, round := range []string{"first", "second"} {
		out, err := h.try(args...)
		if err != nil {
			t.Fatalf("the %s demo: %v\n%s", round, err, out)
		}
		for _, want := range []string{"5 pods are ready", "10 pods are ready", "3 pods are ready", "from 5 pods", "restarted in place, for the 1st time", "is gone"} {
			if !strings.Contains(out, want) {
				t.Errorf("the %s demo did not say %q:\n%s", round, want, out)
			}
		}
		t.Logf("the %s demo:\n%s", round, out)
	}
	// What it said is so.
	out := h.mustKubectl("get", "rc", "hello-world", "-o", "jsonpath={.status.replicas} {.status.readyReplicas}")
	if out != "3 3" {
		t.Errorf("replicas and ready ones: %s", out)
	}
	h.eventually(10*time.Second, func() error {
		_, err := h.kubectl("get", "--raw", "/readyz")
		return err
	})
}
