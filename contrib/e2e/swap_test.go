package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestSwapScheduler swaps the scheduler as the README does, and back.
func TestSwapScheduler(t *testing.T) {
	h := newLAN(t).host()
	h.up()
	h.importImage()
	for i, name := range []string{"binpack", "spread"} {
		h.mustKubectl("patch", "plugin", "scheduler", "--type", "merge", "-p",
			fmt.Sprintf(`{"spec":{"name":%q,"executable":%q}}`, name, "scheduler-"+name))
		h.eventually(30*time.Second, func() error {
			out, err := h.kubectl("get", "plugin", "scheduler", "-o", "jsonpath={.status.phase} {.status.executable}")
			if err != nil || !strings.HasPrefix(out, "Running") || !strings.HasSuffix(out, "scheduler-"+name) {
				return fmt.Errorf("%q, %v", out, err)
			}
			return nil
		})
		pod := fmt.Sprintf("p%d", i)
		h.mustKubectl("run", pod, "--image", image, "--labels", "app="+pod)
		h.waitPods("app="+pod, 1)
	}
	// A swap that fails leaves the old one in place and says why.
	h.mustKubectl("patch", "plugin", "scheduler", "--type", "merge", "-p", `{"spec":{"executable":"/no/such/scheduler"}}`)
	h.eventually(30*time.Second, func() error {
		out, err := h.kubectl("get", "plugin", "scheduler", "-o", "jsonpath={.status.phase} {.status.lastError}")
		if err != nil || !strings.Contains(out, "/no/such/scheduler") {
			return fmt.Errorf("%q, %v", out, err)
		}
		return nil
	})
	h.mustKubectl("run", "p2", "--image", image, "--labels", "app=p2")
	h.waitPods("app=p2", 1)
}
