package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestThreeNodes runs a cluster over three machines: pods reach each other by
// address and by service, a machine that is cut off is replaced, and is clean
// when it returns.
func TestThreeNodes(t *testing.T) {
	l := newLAN(t)
	first, second, third := l.host(), l.host(), l.host()
	d := first.up()
	d.waitReady("n1")
	first.importImage()
	token := strings.TrimSpace(first.must(filepath.Join(bin, "pintle"), "--kubeconfig", first.stateDir()+"/admin.kubeconfig", "token", "create", "--state-dir", first.stateDir()))
	others := map[string]*host{"n2": second, "n3": third}
	for name, h := range others {
		t.Cleanup(h.reset)
		agent := h.start("agent", "--node-name", name, "--server", "https://"+first.address+":6443", "--token", token)
		t.Cleanup(agent.kill)
	}
	for name := range others {
		d.waitReady(name)
	}
	first.importImage()
	first.apply(`
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
      tolerations:
      - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 2}
      - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 2}
      containers: [{name: web, image: "` + image + `", ports: [{containerPort: 8080}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
`)
	first.waitPods("app=web", 3)
	if nodes := first.nodesOf("app=web"); !slices.Equal(nodes, []string{"n1", "n2", "n3"}) {
		t.Fatalf("the pods are on %v, not one on each node", nodes)
	}
	addresses := strings.Fields(first.mustKubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].status.podIP}"))
	service := first.mustKubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
	port := first.mustKubectl("get", "service", "web", "-o", "jsonpath={.spec.ports[0].nodePort}")

	// From every node, every pod, the service, and every node's port.
	for _, h := range []*host{first, second, third} {
		targets := []string{service + ":80"}
		for _, a := range addresses {
			targets = append(targets, a+":8080")
		}
		for _, n := range []*host{first, second, third} {
			targets = append(targets, n.address+":"+port)
		}
		for _, target := range targets {
			h.eventually(20*time.Second, func() error {
				out, err := h.try("curl", "-sS", "-m", "2", "http://"+target)
				if err != nil || !strings.HasPrefix(out, "Hello from web-") {
					return fmt.Errorf("from %s to %s: %q, %v", h.name, target, out, err)
				}
				return nil
			})
		}
	}
	// Logs come from every node.
	for _, pod := range strings.Fields(first.mustKubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].metadata.name}")) {
		if out := first.mustKubectl("logs", pod); !strings.Contains(out, pod+" listens on") {
			t.Errorf("logs of %s: %s", pod, out)
		}
	}

	// Cut the third node off.
	l.in("ip", "link", "set", "v3", "down")
	first.eventually(2*time.Minute, func() error {
		nodes := first.readyNodesOf("app=web")
		if len(nodes) != 3 || slices.Contains(nodes, "n3") {
			return fmt.Errorf("ready pods on %v", nodes)
		}
		return nil
	})
	for range 20 {
		if out, err := first.try("curl", "-sS", "-m", "2", "http://"+service); err != nil || !strings.HasPrefix(out, "Hello") {
			t.Errorf("the service with a node cut off: %q, %v", out, err)
		}
	}
	// It returns, and what is no longer its own goes.
	l.in("ip", "link", "set", "v3", "up")
	d.waitReady("n3")
	first.eventually(time.Minute, func() error {
		out, err := first.kubectl("get", "pods", "-l", "app=web", "--no-headers")
		if err != nil || len(lines(out)) != 3 || strings.Contains(out, "Terminating") {
			return fmt.Errorf("%v\n%s", err, out)
		}
		out, err = third.try("ip", "-o", "link")
		if err != nil || strings.Contains(out, "veth") {
			return fmt.Errorf("links of pods on the node that returned: %s, %v", out, err)
		}
		return nil
	})
}

// nodesOf are the nodes of a selector's pods.
func (h *host) nodesOf(selector string) []string {
	h.t.Helper()
	nodes := strings.Fields(h.mustKubectl("get", "pods", "-l", selector, "-o", "jsonpath={.items[*].spec.nodeName}"))
	slices.Sort(nodes)
	return nodes
}

// readyNodesOf are the nodes of those that are ready and not ending.
func (h *host) readyNodesOf(selector string) []string {
	h.t.Helper()
	out := h.mustKubectl("get", "pods", "-l", selector, "-o", `jsonpath={range .items[*]}{.spec.nodeName} {.metadata.deletionTimestamp} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}`)
	var nodes []string
	for _, line := range lines(out) {
		if f := strings.Fields(line); len(f) == 2 && f[1] == "True" {
			nodes = append(nodes, f[0])
		}
	}
	slices.Sort(nodes)
	return nodes
}
