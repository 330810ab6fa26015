package e2e

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
)

// cgroupFiles are a container's limits as it sees them itself, in the words of
// both versions of control groups.
const cgroupFiles = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu/cpu.shares /sys/fs/cgroup/cpu.weight /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null; cat /sys/fs/cgroup/cpu.max 2>/dev/null; true"

func resourceCases() []podCase {
	return []podCase{{
		name: "limits and classes of service",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: guaranteed}
spec:
  restartPolicy: Never
  containers: [{name: c, image: IMAGE, command: [sh, -c, "` + cgroupFiles + `"], resources: {limits: {cpu: 200m, memory: 64Mi}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: burstable}
spec:
  restartPolicy: Never
  containers: [{name: c, image: IMAGE, command: [sh, -c, "` + cgroupFiles + `"], resources: {requests: {cpu: 100m}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: besteffort}
spec:
  restartPolicy: Never
  containers: [{name: c, image: IMAGE, command: [sh, -c, "` + cgroupFiles + `"]}]
`,
		check: func(h *host) {
			for name, want := range map[string]struct {
				class         corev1.PodQOSClass
				shares, quota string
			}{
				"guaranteed": {corev1.PodQOSGuaranteed, "204", "20000"},
				"burstable":  {corev1.PodQOSBurstable, "102", "-1"},
				"besteffort": {corev1.PodQOSBestEffort, "2", "-1"},
			} {
				have := h.output(name)
				if pod := h.waitPhase(name, corev1.PodSucceeded); pod.Status.QOSClass != want.class {
					h.t.Errorf("%s: class %s", name, pod.Status.QOSClass)
				}
				h.mustHave(have, want.shares, want.quota)
				if name == "guaranteed" {
					h.mustHave(have, "67108864")
				}
			}
		},
	}, {
		name: "a container that takes too much memory",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: greedy}
spec:
  restartPolicy: Never
  containers: [{name: c, image: IMAGE, command: [tail, /dev/zero], resources: {limits: {memory: 16Mi}}}]
`,
		check: func(h *host) {
			pod := h.waitPhase("greedy", corev1.PodFailed)
			if end := ended(pod, "c"); end.Reason != "OOMKilled" || end.ExitCode != 137 {
				h.t.Errorf("how it ended: %+v", end)
			}
		},
	}, {
		name: "what a container uses",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: usage}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: IMAGE, command: [sleep, "1000"]}]
`,
		check: func(h *host) {
			h.waitReady("usage")
			out := h.mustKubectl("get", "--raw", "/api/v1/nodes/n1/proxy/stats/summary")
			var summary struct {
				Pods []struct {
					PodRef     struct{ Name string }
					Containers []struct {
						Name   string
						CPU    struct{ UsageCoreNanoSeconds uint64 }
						Memory struct{ WorkingSetBytes uint64 }
					}
				}
			}
			if err := json.Unmarshal([]byte(out), &summary); err != nil {
				h.t.Fatalf("%v: %s", err, out)
			}
			for _, pod := range summary.Pods {
				if pod.PodRef.Name == "usage" && len(pod.Containers) == 1 && pod.Containers[0].CPU.UsageCoreNanoSeconds > 0 && pod.Containers[0].Memory.WorkingSetBytes > 0 {
					return
				}
			}
			h.t.Errorf("no use by the pod: %s", out)
		},
	}}
}
