package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestSidecar runs nginx beside a container that fetches its content from a
// service into an emptyDir, and makes its probes fail and recover.
func TestSidecar(t *testing.T) {
	h := newLAN(t).host()
	h.up()
	h.importImage(archive, nginx(t))
	h.apply(`
apiVersion: v1
kind: ConfigMap
metadata: {name: nginx}
data:
  nginx.conf: |
    user root;
    daemon off;
    error_log /dev/stderr;
    pid /tmp/nginx.pid;
    events {}
    http {
      access_log /dev/stdout;
      server { listen 80; root /content; }
    }
---
apiVersion: v1
kind: Pod
metadata: {name: origin, labels: {app: origin}}
spec:
  containers:
  - {name: web, image: "` + image + `", ports: [{containerPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: origin}
spec: {selector: {app: origin}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
`)
	h.waitPods("app=origin", 1)
	origin := strings.TrimSpace(h.mustKubectl("get", "service", "origin", "-o", "jsonpath={.spec.clusterIP}"))
	h.apply(`
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: nginx
    image: "` + nginxImage + `"
    command: [nginx, -c, /etc/conf/nginx.conf]
    ports: [{containerPort: 80}]
    readinessProbe: {httpGet: {path: /healthy, port: 80}, periodSeconds: 1, failureThreshold: 1}
    livenessProbe: {exec: {command: [test, -e, /content/alive]}, periodSeconds: 1, failureThreshold: 2, initialDelaySeconds: 2}
    volumeMounts: [{name: content, mountPath: /content}, {name: conf, mountPath: /etc/conf}]
  - name: fetch
    image: "` + nginxImage + `"
    command: [sh, -c, "touch /content/alive /content/healthy; while true; do wget -q -O /content/index.html http://` + origin + `/; sleep 1; done"]
    volumeMounts: [{name: content, mountPath: /content}]
  volumes:
  - {name: content, emptyDir: {}}
  - {name: conf, configMap: {name: nginx}}
`)
	h.waitPods("app=web", 1)
	web := strings.TrimSpace(h.mustKubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"))

	serves := func() error {
		out, err := h.try("curl", "-sS", "-m", "2", "http://"+web+"/")
		if err != nil || !strings.Contains(out, "Hello from origin") {
			return fmt.Errorf("%q, %v", out, err)
		}
		return nil
	}
	h.eventually(20*time.Second, serves)

	// Not ready: the service has nobody, and refuses at once.
	h.mustKubectl("exec", "web", "-c", "nginx", "--", "rm", "/content/healthy")
	h.eventually(20*time.Second, func() error {
		out, err := h.try("curl", "-sS", "-m", "2", "http://"+web+"/")
		if err == nil || !strings.Contains(out, "Couldn't connect") {
			return fmt.Errorf("%q, %v", out, err)
		}
		return nil
	})
	if ready := h.mustKubectl("get", "endpoints", "web", "-o", "jsonpath={.subsets[*].addresses[*].ip}"); ready != "" {
		t.Errorf("ready endpoints: %s", ready)
	}
	if n := h.restarts("web", "nginx"); n != "0" {
		t.Errorf("a pod that is not ready was restarted %s times", n)
	}
	h.mustKubectl("exec", "web", "-c", "fetch", "--", "touch", "/content/healthy")
	h.eventually(20*time.Second, serves)

	// Not alive: restarted in place, and the volume keeps its content.
	h.mustKubectl("exec", "web", "-c", "nginx", "--", "rm", "/content/alive")
	h.eventually(30*time.Second, func() error {
		if n := h.restarts("web", "nginx"); n == "0" {
			return fmt.Errorf("restarted %s times", n)
		}
		return nil
	})
	h.mustKubectl("exec", "web", "-c", "fetch", "--", "touch", "/content/alive")
	h.waitPods("app=web", 1)
	h.eventually(20*time.Second, serves)
	if n := h.restarts("web", "fetch"); n != "0" {
		t.Errorf("the container beside it was restarted %s times", n)
	}
	events := h.mustKubectl("get", "events", "--field-selector", "involvedObject.name=web", "-o", "jsonpath={.items[*].reason}")
	for _, want := range []string{"Unhealthy", "Killing", "Started"} {
		if !strings.Contains(events, want) {
			t.Errorf("no event %s among %s", want, events)
		}
	}
}

func (h *host) restarts(pod, container string) string {
	h.t.Helper()
	return h.mustKubectl("get", "pod", pod, "-o", fmt.Sprintf(`jsonpath={.status.containerStatuses[?(@.name=="%s")].restartCount}`, container))
}
