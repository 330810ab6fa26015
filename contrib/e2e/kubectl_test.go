package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestKubectl drives a cluster with an unmodified kubectl.
func TestKubectl(t *testing.T) {
	h := newLAN(t).host()
	h.up()
	h.importImage()

	t.Run("run, expose, logs, exec", func(t *testing.T) {
		h.mustKubectl("run", "hello", "--image", image, "--port", "8080", "--image-pull-policy", "IfNotPresent", "--labels", "app=hello")
		h.waitPods("app=hello", 1)
		h.mustKubectl("expose", "pod", "hello", "--port", "80", "--target-port", "8080")
		ip := h.mustKubectl("get", "service", "hello", "-o", "jsonpath={.spec.clusterIP}")
		h.eventually(10*time.Second, func() error {
			out, err := h.try("curl", "-sS", "-m", "2", "http://"+ip)
			if err != nil || !strings.HasPrefix(out, "Hello from hello") {
				return fmt.Errorf("%q %v", out, err)
			}
			return nil
		})
		if out := h.mustKubectl("logs", "hello"); !strings.Contains(out, "hello listens on :8080") || !strings.Contains(out, "GET / from") {
			t.Errorf("logs: %s", out)
		}
		if out, err := h.kubectl("exec", "hello", "--", "/webserver", "-colour"); err == nil || !strings.Contains(out+err.Error(), "-colour") || !strings.Contains(err.Error(), "exit code 2") {
			t.Errorf("exec of a command that fails: %q, %v", out, err)
		}
		if out := h.mustKubectl("logs", "hello", "--tail=1", "--timestamps"); !strings.HasPrefix(out, "20") {
			t.Errorf("timestamps: %s", out)
		}
	})
	t.Run("get in every form", func(t *testing.T) {
		out := h.mustKubectl("get", "pods")
		if !strings.HasPrefix(out, "NAME    READY   STATUS    RESTARTS   AGE\nhello   1/1     Running   0") {
			t.Errorf("columns:\n%s", out)
		}
		if out := h.mustKubectl("get", "pods", "-o", "wide"); !strings.Contains(out, "NOMINATED NODE") || !strings.Contains(out, " n1 ") {
			t.Errorf("wide columns:\n%s", out)
		}
		if out := h.mustKubectl("get", "pod", "hello", "-o", "yaml"); !strings.Contains(out, "kind: Pod\n") {
			t.Errorf("yaml:\n%s", out)
		}
		if out := h.mustKubectl("get", "pod", "hello", "-o", "json"); !strings.Contains(out, `"kind": "Pod"`) {
			t.Errorf("json:\n%s", out)
		}
		if out := h.mustKubectl("get", "pods", "-l", "app=nobody"); out != "" {
			t.Errorf("a selector that nothing matches: %s", out)
		}
		// Events are told beside what happens, not before it.
		h.eventually(10*time.Second, func() error {
			out, err := h.kubectl("describe", "pod", "hello")
			if err != nil || !strings.Contains(out, "Successfully assigned default/hello to n1") || !strings.Contains(out, "Started ") {
				return fmt.Errorf("describe: %v\n%s", err, out)
			}
			return nil
		})
		if out := h.mustKubectl("get", "nodes", "-o", "wide"); !strings.Contains(out, "Ready") || !strings.Contains(out, "containerd://") {
			t.Errorf("nodes:\n%s", out)
		}
	})
	t.Run("create, label, scale, delete", func(t *testing.T) {
		h.mustKubectl("create", "namespace", "shop")
		h.mustKubectl("create", "configmap", "settings", "-n", "shop", "--from-literal=colour=blue")
		h.mustKubectl("create", "secret", "generic", "key", "-n", "shop", "--from-literal=k=v")
		h.mustKubectl("label", "configmap", "settings", "-n", "shop", "tier=front")
		if out := h.mustKubectl("get", "configmaps", "-n", "shop", "-l", "tier=front", "-o", "name"); out != "configmap/settings\n" {
			t.Errorf("labelled: %s", out)
		}
		rs := `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: rs}
spec:
  replicas: 2
  selector: {matchLabels: {app: rs}}
  template:
    metadata: {labels: {app: rs}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: "` + image + `"}]}
`
		h.apply(rs)
		h.waitPods("app=rs", 2)
		h.mustKubectl("scale", "rs", "rs", "--replicas=4")
		h.waitPods("app=rs", 4)
		h.apply(rs) // kubectl's three-way merge takes it back.
		h.waitPods("app=rs", 2)
		h.mustKubectl("delete", "rs", "rs")
		h.eventually(30*time.Second, func() error {
			out, err := h.kubectl("get", "pods", "-l", "app=rs", "-o", "name")
			if err == nil && out != "" {
				err = fmt.Errorf("still there: %s", out)
			}
			return err
		})
		h.mustKubectl("delete", "namespace", "shop", "--timeout=30s")
		if _, err := h.kubectl("get", "namespace", "shop"); err == nil || !strings.Contains(err.Error(), "NotFound") {
			t.Errorf("the deleted namespace: %v", err)
		}
	})
	t.Run("logs of the last container", func(t *testing.T) {
		pod := h.mustKubectl("get", "pod", "hello", "-o", "jsonpath={.status.podIP}")
		h.try("curl", "-sS", "-m", "2", "-X", "POST", "http://"+pod+":8080/crash") // It ends before it answers.
		h.eventually(30*time.Second, func() error {
			out, err := h.kubectl("logs", "hello", "--previous")
			if err == nil && !strings.Contains(out, "told to crash") {
				err = fmt.Errorf("%q", out)
			}
			return err
		})
		h.waitPods("app=hello", 1)
		if out := h.mustKubectl("get", "pod", "hello", "-o", "jsonpath={.status.containerStatuses[0].lastState.terminated.exitCode} {.status.containerStatuses[0].lastState.terminated.reason}"); out != "3 Error" {
			t.Errorf("how it ended: %s", out)
		}
	})
	t.Run("explain and api-resources", func(t *testing.T) {
		if out := h.mustKubectl("explain", "pod.spec.containers.livenessProbe"); !strings.Contains(out, "periodSeconds") {
			t.Errorf("explain:\n%s", out)
		}
		out := h.mustKubectl("api-resources")
		for _, want := range []string{"replicationcontrollers", "endpointslices", "plugins"} {
			if !strings.Contains(out, want) {
				t.Errorf("api-resources lack %s:\n%s", want, out)
			}
		}
	})
	t.Run("watch", func(t *testing.T) {
		out, err := h.try("timeout", "5", "kubectl", "--kubeconfig", h.stateDir()+"/admin.kubeconfig", "get", "pods", "-w", "--request-timeout=3s")
		if !strings.Contains(out, "hello") {
			t.Errorf("%s, %v", out, err)
		}
	})
}
