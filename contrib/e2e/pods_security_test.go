package e2e

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const privileges = "grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status | busybox tr '\\t' ' '; stat -L -c 'timers %F' /proc/timer_list; grep ' /proc/sys ' /proc/self/mountinfo | busybox cut -d' ' -f5,6 | busybox cut -c-12; id"

func securityCases() []podCase {
	return []podCase{{
		name: "what a container may do by default",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: plain}
spec:
  restartPolicy: Never
  containers: [{name: c, image: IMAGE, command: [sh, -c, "` + privileges + `"]}]
`,
		check: func(h *host) {
			// CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP,
			// NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP.
			h.mustHave(h.output("plain"), "CapEff: 00000000a80425fb", "CapBnd: 00000000a80425fb", "CapInh: 0000000000000000", "CapAmb: 0000000000000000",
				"Seccomp: 2", "NoNewPrivs: 0", "timers character special file", "/proc/sys ro", "uid=0(root) gid=0(root) groups=0(root)")
		},
	}, {
		name: "a restricted container",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: restricted}
spec:
  restartPolicy: Never
  securityContext: {runAsUser: 1000, runAsGroup: 2000, fsGroup: 3000, supplementalGroups: [4000], runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: c
    image: IMAGE
    command: [sh, -c, "` + privileges + `; touch /tmp/x; touch /v/x && stat -c '%u:%g' /v/x; stat -c '%a %g' /v"]
    securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}}
    volumeMounts: [{name: v, mountPath: /v}]
  volumes: [{name: v, emptyDir: {}}]
`,
		check: func(h *host) {
			h.mustHave(h.output("restricted"), "CapBnd: 0000000000000400", "CapEff: 0000000000000000", "Seccomp: 2", "NoNewPrivs: 1",
				"uid=1000 gid=2000 groups=2000,3000,4000", "touch: /tmp/x: Read-only file system", "1000:3000", "2777 3000")
		},
	}, {
		name: "a privileged container",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: privileged}
spec:
  restartPolicy: Never
  containers: [{name: c, image: IMAGE, command: [sh, -c, "` + privileges + `; mount -t tmpfs none /tmp && echo mounted"], securityContext: {privileged: true}}]
---
apiVersion: v1
kind: Pod
metadata: {name: unconfined}
spec:
  restartPolicy: Never
  containers: [{name: c, image: IMAGE, command: [sh, -c, "` + privileges + `"], securityContext: {seccompProfile: {type: Unconfined}, capabilities: {add: [SYS_TIME], drop: [NET_RAW]}}}]
`,
		check: func(h *host) {
			have := h.output("privileged")
			h.mustHave(have, "Seccomp: 0", "timers regular empty file", "mounted")
			mine := ""
			for _, line := range lines(read("/proc/self/status")) {
				if strings.HasPrefix(line, "CapBnd:") {
					mine = strings.Fields(line)[1]
				}
			}
			h.mustHave(have, "CapEff: "+mine)
			h.mustHave(h.output("unconfined"), "Seccomp: 0", "CapEff: 00000000aa0405fb")
		},
	}, {
		name: "root where it is forbidden",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: noroot}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: IMAGE, command: [sleep, "1000"], securityContext: {runAsNonRoot: true}}]
`,
		check: func(h *host) {
			pod := h.waitWaiting("noroot", "c", "CreateContainerConfigError", "container has runAsNonRoot and image will run as root")
			if pod.Status.Phase != corev1.PodPending {
				h.t.Errorf("phase %s", pod.Status.Phase)
			}
		},
	}}
}
