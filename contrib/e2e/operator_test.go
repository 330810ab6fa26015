package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestResetAfterKill kills pintled while pods are made and removed, and takes
// the machine back: nothing may be left, and doing it again is no error.
func TestResetAfterKill(t *testing.T) {
	h := newLAN(t).host()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 2 {
		d := h.up()
		h.importImage()
		h.apply(controllerOf("wave", 2, 1))
		h.waitPods("app=wave", 2)
		for _, n := range []string{"6", "1"} {
			h.mustKubectl("scale", "rc", "wave", "--replicas", n)
			time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond) // A random moment, not a wait for anything.
		}
		d.kill()
		h.reset() // It looks for what is left, too.
		h.reset()
		if t.Failed() {
			return
		}
	}
}

// TestNetworkFaults uses up a node's range of addresses, and takes the network's
// programs away: pods say so, and start once it is mended.
func TestNetworkFaults(t *testing.T) {
	h := newLAN(t).host()
	h.up("--node-cidr-mask-size", "29")
	h.importImage()
	h.apply(controllerOf("wave", 8, 1))
	// Eight addresses are a network, a broadcast, a gateway, and five pods.
	h.waitEvents("no IP addresses available")
	h.mustKubectl("scale", "rc", "wave", "--replicas", "5")
	h.waitPods("app=wave", 5)

	h.mustKubectl("patch", "plugin", "network", "--type", "merge", "-p", `{"spec":{"config":{"binDirs":["/no/such/cni"]}}}`)
	h.eventually(30*time.Second, func() error {
		out, err := h.kubectl("get", "plugin", "network", "-o", "jsonpath={.status.lastError}")
		if err != nil || !strings.Contains(out, "/no/such/cni") {
			return fmt.Errorf("%q, %v", out, err)
		}
		return nil
	})
	h.mustKubectl("patch", "plugin", "network", "--type", "json", "-p", `[{"op":"remove","path":"/spec/config"}]`)
	h.mustKubectl("scale", "rc", "wave", "--replicas", "2")
	h.waitPods("app=wave", 2)
	h.mustKubectl("scale", "rc", "wave", "--replicas", "4")
	h.waitPods("app=wave", 4)
}

// waitEvents waits until the events of some pod say something.
func (h *host) waitEvents(want string) {
	h.t.Helper()
	h.eventually(60*time.Second, func() error {
		out, err := h.kubectl("get", "events", "--field-selector", "involvedObject.kind=Pod,type=Warning")
		if err != nil || !strings.Contains(out, want) {
			return fmt.Errorf("no event says %q: %v\n%s", want, err, out)
		}
		return nil
	})
}
