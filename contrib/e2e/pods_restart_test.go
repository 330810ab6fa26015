package e2e

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

func restartCases() []podCase {
	return []podCase{{
		name: "restart policy Never",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: never-good}
spec:
  restartPolicy: Never
  containers: [{name: c, image: IMAGE, command: [sh, -c, "echo -n all is well >/dev/termination-log"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: never-bad}
spec:
  restartPolicy: Never
  containers: [{name: c, image: IMAGE, terminationMessagePolicy: FallbackToLogsOnError, command: [sh, -c, "echo my last words; exit 7"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: never-half}
spec:
  restartPolicy: Never
  containers:
  - {name: good, image: IMAGE, command: [sh, -c, exit 0]}
  - {name: bad, image: IMAGE, terminationMessagePath: /tmp/end, command: [sh, -c, "echo -n here >/tmp/end; exit 9"]}
`,
		check: func(h *host) {
			for _, want := range []struct {
				pod, container  string
				phase           corev1.PodPhase
				code            int32
				reason, message string
			}{
				{"never-good", "c", corev1.PodSucceeded, 0, "Completed", "all is well"},
				{"never-bad", "c", corev1.PodFailed, 7, "Error", "my last words\n"},
				{"never-half", "good", corev1.PodFailed, 0, "Completed", ""},
				{"never-half", "bad", corev1.PodFailed, 9, "Error", "here"},
			} {
				pod := h.waitPhase(want.pod, want.phase)
				end := container(pod, want.container).State.Terminated
				if end == nil || end.ExitCode != want.code || end.Reason != want.reason || end.Message != want.message || end.FinishedAt.IsZero() {
					h.t.Errorf("%s: %+v", want.pod, end)
				}
				if n := container(pod, want.container).RestartCount; n != 0 {
					h.t.Errorf("%s: restarted %d times", want.pod, n)
				}
			}
			if out := h.mustKubectl("get", "pods", "never-good", "never-bad"); !strings.Contains(out, "Completed") || !strings.Contains(out, "Error") {
				h.t.Errorf("columns:\n%s", out)
			}
		},
	}, {
		name: "restart policy OnFailure",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: onfailure}
spec:
  restartPolicy: OnFailure
  containers: [{name: c, image: IMAGE, command: [sh, -c, "test -e /d/once && exit 0; touch /d/once; exit 5"], volumeMounts: [{name: d, mountPath: /d}]}]
  volumes: [{name: d, emptyDir: {}}]
`,
		check: func(h *host) {
			pod := h.waitPhase("onfailure", corev1.PodSucceeded)
			s := container(pod, "c")
			if s.RestartCount != 1 || s.LastTerminationState.Terminated == nil || s.LastTerminationState.Terminated.ExitCode != 5 {
				h.t.Errorf("status: %+v", s)
			}
		},
	}, {
		name: "restart policy Always",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: always}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: IMAGE, command: [sh, -c, "exit 0"]}]
`,
		check: func(h *host) {
			pod := h.waitWaiting("always", "c", "CrashLoopBackOff", "back-off", "restarting failed container=c pod=always_default")
			if end := ended(pod, "c"); end.Reason != "Completed" {
				h.t.Errorf("how it ended: %+v", end)
			}
			if out := h.mustKubectl("get", "pod", "always"); !strings.Contains(out, "CrashLoopBackOff") && !strings.Contains(out, "Completed") {
				h.t.Errorf("column:\n%s", out)
			}
			h.eventsOf(h.t, "always", "Back-off restarting failed container")
		},
	}, {
		name: "a pod that runs too long",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: deadline}
spec:
  activeDeadlineSeconds: 15
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: IMAGE, command: [sleep, "1000"]}]
`,
		check: func(h *host) {
			pod := h.waitPhase("deadline", corev1.PodFailed)
			if pod.Status.Reason != "DeadlineExceeded" {
				h.t.Errorf("reason: %+v", pod.Status)
			}
			h.waitPod("deadline", func(pod *corev1.Pod) error {
				if container(pod, "c").State.Terminated == nil {
					return fmt.Errorf("the container still runs")
				}
				return nil
			})
		},
	}}
}
