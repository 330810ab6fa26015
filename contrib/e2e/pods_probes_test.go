package e2e

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

func probeCases() []podCase {
	return []podCase{{
		name: "a startup probe holds back the others",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: slowstart}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: IMAGE
    command: [sh, -c, "sleep 5; touch /tmp/alive /tmp/started; sleep 1000"]
    startupProbe: {exec: {command: [test, -e, /tmp/started]}, periodSeconds: 1, failureThreshold: 60}
    livenessProbe: {exec: {command: [test, -e, /tmp/alive]}, periodSeconds: 1, failureThreshold: 1}
    readinessProbe: {exec: {command: ["true"]}, periodSeconds: 1}
`,
		check: func(h *host) {
			pod := h.waitReady("slowstart")
			if s := container(pod, "c"); s.RestartCount != 0 || s.Started == nil || !*s.Started {
				h.t.Errorf("status: %+v", s)
			}
		},
	}, {
		name: "a startup that takes too long ends in a restart",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: nostart}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: IMAGE
    command: [sleep, "1000"]
    startupProbe: {exec: {command: [sh, -c, "echo not yet; exit 1"]}, periodSeconds: 1, failureThreshold: 2}
`,
		check: func(h *host) {
			h.waitPod("nostart", func(pod *corev1.Pod) error {
				s := container(pod, "c")
				if s.Ready || s.Started != nil && *s.Started {
					h.t.Fatalf("started: %+v", s)
				}
				if s.RestartCount < 1 {
					return fmt.Errorf("restarted %d times", s.RestartCount)
				}
				return nil
			})
			h.eventsOf(h.t, "nostart", "Startup probe failed: not yet")
			h.eventsOf(h.t, "nostart", "failed startup probe, will be restarted")
		},
	}, {
		name: "probes over TCP",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: tcp-open}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: "` + image + `", ports: [{name: web, containerPort: 8080}], readinessProbe: {tcpSocket: {port: web}, periodSeconds: 1}}]
---
apiVersion: v1
kind: Pod
metadata: {name: tcp-closed}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: "` + image + `", livenessProbe: {tcpSocket: {port: 8081}, periodSeconds: 1, failureThreshold: 1}}]
`,
		check: func(h *host) {
			h.waitReady("tcp-open")
			h.waitPod("tcp-closed", func(pod *corev1.Pod) error {
				if n := container(pod, "c").RestartCount; n < 1 {
					return fmt.Errorf("restarted %d times", n)
				}
				return nil
			})
			h.eventsOf(h.t, "tcp-closed", "connection refused")
		},
	}}
}
