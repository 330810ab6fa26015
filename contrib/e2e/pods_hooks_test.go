package e2e

import (
	"fmt"
	"strings"
	"time"
)

func hookCases() []podCase {
	return []podCase{{
		name: "hooks and a graceful end",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: graceful}
spec:
  terminationGracePeriodSeconds: 60
  containers:
  - name: c
    image: IMAGE
    command: [sh, -c, "trap 'echo told to end; exit 0' TERM; while :; do sleep 0.1; done"]
    lifecycle:
      postStart: {exec: {command: [sh, -c, "echo posted >/proc/1/fd/1"]}}
      preStop: {exec: {command: [sh, -c, "echo stopping >/proc/1/fd/1; sleep 1; echo stopped >/proc/1/fd/1"]}}
`,
		check: func(h *host) {
			h.waitReady("graceful")
			logs := h.follow("graceful", func() { h.mustKubectl("delete", "pod", "graceful", "--timeout=40s") })
			if want := "posted\nstopping\nstopped\ntold to end\n"; logs != want {
				h.t.Errorf("%q, not %q", logs, want)
			}
		},
	}, {
		name: "who does not end in time is killed",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: stubborn}
spec:
  terminationGracePeriodSeconds: 2
  containers:
  - name: c
    image: IMAGE
    command: [sh, -c, "trap 'echo no' TERM; while :; do sleep 0.1; done"]
`,
		check: func(h *host) {
			h.waitReady("stubborn")
			logs := h.follow("stubborn", func() { h.mustKubectl("delete", "pod", "stubborn", "--timeout=40s") })
			if logs != "no\n" {
				h.t.Errorf("logs: %q", logs)
			}
		},
	}, {
		name: "a hook over HTTP",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: httphook}
spec:
  containers:
  - {name: c, image: "` + image + `", ports: [{name: web, containerPort: 8080}], lifecycle: {preStop: {httpGet: {path: /bye, port: web}}}}
`,
		check: func(h *host) {
			h.waitReady("httphook")
			mustSay(h.t, h.follow("httphook", func() { h.mustKubectl("delete", "pod", "httphook", "--timeout=40s") }), "GET /bye from")
		},
	}, {
		name: "a deletion by force",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: forced}
spec:
  terminationGracePeriodSeconds: 2
  containers: [{name: c, image: IMAGE, command: [sh, -c, "trap '' TERM; while :; do sleep 0.1; done; echo forced"]}]
`,
		check: func(h *host) {
			h.waitReady("forced")
			running := func() int {
				return len(h.processes(func(argv []string) bool {
					return len(argv) > 2 && strings.HasSuffix(argv[2], "; echo forced")
				}))
			}
			if n := running(); n != 1 {
				h.t.Errorf("%d processes of the container", n)
			}
			h.mustKubectl("delete", "pod", "forced", "--grace-period=0", "--force")
			h.eventually(30*time.Second, func() error {
				if n := running(); n != 0 {
					return fmt.Errorf("%d processes of a pod that was deleted by force", n)
				}
				return nil
			})
		},
	}, {
		name: "a postStart hook that fails",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: badhook}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: c, image: IMAGE, command: [sleep, "1000"], lifecycle: {postStart: {exec: {command: [sh, -c, "echo no luck; exit 9"]}}}}
`,
		check: func(h *host) {
			h.eventsOf(h.t, "badhook", "FailedPostStartHook")
			h.eventually(30*time.Second, func() error {
				if n := h.restarts("badhook", "c"); n == "0" || n == "" {
					return fmt.Errorf("restarted %q times", n)
				}
				return nil
			})
		},
	}}
}

// follow gives what a pod writes until it ends, while something is done to it.
func (h *host) follow(pod string, do func()) string {
	h.t.Helper()
	type result struct {
		out string
		err error
	}
	done := make(chan result, 1)
	following := make(chan struct{})
	go func() {
		close(following)
		out, err := h.kubectl("logs", "-f", pod)
		done <- result{out, err}
	}()
	<-following
	h.eventually(30*time.Second, func() error {
		if len(h.processes(func(argv []string) bool {
			return argv[0] == "kubectl" && strings.HasSuffix(strings.Join(argv, " "), h.stateDir()+"/admin.kubeconfig logs -f "+pod)
		})) == 0 {
			return fmt.Errorf("nobody follows %s", pod)
		}
		return nil
	})
	do()
	select {
	case r := <-done:
		if r.err != nil {
			h.t.Error(r.err)
		}
		return r.out
	case <-time.After(30 * time.Second):
		h.t.Fatalf("the logs of %s do not end with it", pod)
		return ""
	}
}
