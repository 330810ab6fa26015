package e2e

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

func orderCases() []podCase {
	return []podCase{{
		name: "init containers run in order beside a sidecar",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: order}
spec:
  restartPolicy: Never
  initContainers:
  - {name: first, image: IMAGE, command: [sh, -c, "sleep 1; echo first >>/d/order"], volumeMounts: [{name: d, mountPath: /d}]}
  - name: sidecar
    image: IMAGE
    restartPolicy: Always
    command: [sh, -c, "trap 'echo sidecar stops; exit 0' TERM; sleep 1; echo sidecar >>/d/order; while :; do sleep 0.1; done"]
    startupProbe: {exec: {command: [grep, -q, sidecar, /d/order]}, periodSeconds: 1}
    volumeMounts: [{name: d, mountPath: /d}]
  - {name: second, image: IMAGE, command: [sh, -c, "echo second >>/d/order"], volumeMounts: [{name: d, mountPath: /d}]}
  containers:
  - {name: c, image: IMAGE, command: [cat, /d/order], volumeMounts: [{name: d, mountPath: /d}]}
  volumes: [{name: d, emptyDir: {}}]
`,
		check: func(h *host) {
			pod := h.waitPhase("order", corev1.PodSucceeded)
			if out := h.mustKubectl("logs", "order", "-c", "c"); out != "first\nsidecar\nsecond\n" {
				h.t.Errorf("order: %q", out)
			}
			if out := h.mustKubectl("logs", "order", "-c", "sidecar"); out != "sidecar stops\n" {
				h.t.Errorf("the sidecar said: %q", out)
			}
			for _, name := range []string{"first", "sidecar", "second", "c"} {
				if s := container(pod, name); s.State.Terminated == nil || s.State.Terminated.ExitCode != 0 || s.State.Terminated.Reason != "Completed" || s.RestartCount != 0 {
					h.t.Errorf("container %s: %+v", name, s)
				}
			}
		},
	}, {
		name: "a failing init container is tried again",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: initloop}
spec:
  terminationGracePeriodSeconds: 1
  initContainers: [{name: i, image: IMAGE, command: [sh, -c, exit 3]}]
  containers: [{name: c, image: IMAGE, command: [sleep, "1000"]}]
`,
		check: func(h *host) {
			pod := h.waitWaiting("initloop", "i", "CrashLoopBackOff", "back-off")
			if end := ended(pod, "i"); end.ExitCode != 3 || end.Reason != "Error" {
				h.t.Errorf("how it ended: %+v", end)
			}
			if pod.Status.Phase != corev1.PodPending || !hasCondition(pod, corev1.PodInitialized, corev1.ConditionFalse) {
				h.t.Errorf("status: %+v", pod.Status)
			}
			if w := container(pod, "c").State.Waiting; w == nil || w.Reason != "PodInitializing" {
				h.t.Errorf("the container behind it: %+v", container(pod, "c"))
			}
			if out := h.mustKubectl("get", "pod", "initloop"); !strings.Contains(out, "Init:") {
				h.t.Errorf("column:\n%s", out)
			}
			h.eventsOf(h.t, "initloop", "BackOff")
		},
	}, {
		name: "a pod that is never restarted fails with its init container",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: initfail}
spec:
  restartPolicy: Never
  initContainers: [{name: i, image: IMAGE, command: [sh, -c, exit 4]}]
  containers: [{name: c, image: IMAGE, command: [sleep, "1000"]}]
`,
		check: func(h *host) {
			pod := h.waitPhase("initfail", corev1.PodFailed)
			if end := ended(pod, "i"); end.ExitCode != 4 || container(pod, "c").ContainerID != "" {
				h.t.Errorf("status: %+v", pod.Status)
			}
			if out := h.mustKubectl("get", "pod", "initfail"); !strings.Contains(out, "Init:Error") {
				h.t.Errorf("column:\n%s", out)
			}
		},
	}, {
		name: "a sidecar is restarted while its pod runs",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: sidecar}
spec:
  terminationGracePeriodSeconds: 1
  restartPolicy: Never
  initContainers: [{name: s, image: IMAGE, restartPolicy: Always, command: [sh, -c, "sleep 1; exit 1"]}]
  containers: [{name: c, image: IMAGE, command: [sleep, "1000"]}]
`,
		check: func(h *host) {
			h.waitPod("sidecar", func(pod *corev1.Pod) error {
				if s := container(pod, "s"); s.RestartCount < 1 || container(pod, "c").State.Running == nil {
					return fmt.Errorf("restarted %d times", s.RestartCount)
				}
				return nil
			})
		},
	}}
}
