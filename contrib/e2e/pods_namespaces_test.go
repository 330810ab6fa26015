package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const namespaces = "for n in net pid ipc uts; do echo $n $(readlink /proc/self/ns/$n); done; echo hostname $(hostname)"

func namespaceCases() []podCase {
	return []podCase{{
		name: "namespaces of the host",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: of-host}
spec:
  restartPolicy: Never
  hostNetwork: true
  hostPID: true
  hostIPC: true
  containers: [{name: c, image: IMAGE, command: [sh, -c, "` + namespaces + `"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: of-pod}
spec:
  restartPolicy: Never
  containers: [{name: c, image: IMAGE, command: [sh, -c, "` + namespaces + `"]}]
`,
		check: func(h *host) {
			of := map[string]string{"net": inode(h.t, "/run/netns/"+h.name), "pid": inode(h.t, "/proc/self/ns/pid"), "ipc": inode(h.t, "/proc/self/ns/ipc")}
			have, own := h.output("of-host"), strings.Join(h.output("of-pod"), "\n")
			for n, id := range of {
				line := fmt.Sprintf("%s %s:[%s]", n, n, id)
				h.mustHave(have, line)
				if strings.Contains(own, line) {
					h.t.Errorf("a pod of its own shares %s", line)
				}
			}
			mustSay(h.t, own, "hostname of-pod")
			pod := h.waitPhase("of-host", corev1.PodSucceeded)
			if pod.Status.HostIP != h.address || pod.Status.PodIP != h.address {
				h.t.Errorf("addresses: %+v", pod.Status)
			}
		},
	}, {
		name: "containers that see each other's processes",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: shared}
spec:
  shareProcessNamespace: true
  terminationGracePeriodSeconds: 0
  containers:
  - {name: a, image: IMAGE, command: [sleep, "4242"]}
  - {name: b, image: IMAGE, command: [sleep, "1000"]}
---
apiVersion: v1
kind: Pod
metadata: {name: unshared}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: a, image: IMAGE, command: [sleep, "4242"]}
  - {name: b, image: IMAGE, command: [sleep, "1000"]}
`,
		check: func(h *host) {
			for pod, want := range map[string]string{"shared": "1\n", "unshared": "0\n"} {
				h.waitReady(pod)
				h.eventually(20*time.Second, func() error {
					out, err := h.exec(pod, "b", "cat /proc/[0-9]*/cmdline | busybox tr '\\0' ' ' | busybox grep -o 'sleep 424[2]' | busybox wc -l")
					if err != nil || out != want {
						return fmt.Errorf("%s: b sees %q of a's processes: %v", pod, out, err)
					}
					return nil
				})
			}
			before := container(h.waitReady("shared"), "b")
			first := container(h.waitReady("shared"), "a").ContainerID
			if _, err := h.exec("shared", "b", "for p in /proc/[0-9]*; do case $(busybox tr '\\0' ' ' <$p/cmdline) in 'sleep 4242'*) kill -9 ${p#/proc/};; esac; done"); err != nil {
				h.t.Fatal(err)
			}
			h.waitPod("shared", func(pod *corev1.Pod) error {
				if container(pod, "a").ContainerID == first {
					return fmt.Errorf("container a was not replaced")
				}
				return ready(pod)
			})
			after := container(h.waitReady("shared"), "b")
			if before.ContainerID != after.ContainerID {
				h.t.Errorf("b went with a: %+v", after)
			}
		},
	}, {
		name: "names and resolvers",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: names}
spec:
  restartPolicy: Never
  hostname: alice
  subdomain: wonder
  hostAliases: [{ip: 192.0.2.7, hostnames: [cheshire, cat.example]}]
  dnsPolicy: None
  dnsConfig: {nameservers: [192.0.2.53], searches: [one.example, two.example], options: [{name: ndots, value: "3"}, {name: edns0}]}
  containers: [{name: c, image: IMAGE, command: [sh, -c, "hostname; cat /etc/hostname; cat /etc/hosts /etc/resolv.conf | busybox tr '\t' ' '"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: names-of-node}
spec:
  restartPolicy: Never
  dnsPolicy: Default
  dnsConfig: {searches: [more.example]}
  containers: [{name: c, image: IMAGE, command: [sh, -c, "cat /etc/resolv.conf"]}]
`,
		check: func(h *host) {
			have := h.output("names")
			pod := h.waitPhase("names", corev1.PodSucceeded)
			h.mustHave(have, "alice", "127.0.0.1 localhost", pod.Status.PodIP+" alice.wonder.default.svc.cluster.local alice", "192.0.2.7 cheshire cat.example",
				"nameserver 192.0.2.53", "search one.example two.example", "options ndots:3 edns0")
			of := strings.Join(h.output("names-of-node"), "\n")
			mustSay(h.t, of, "more.example")
			for _, line := range lines(read("/etc/resolv.conf")) {
				if strings.HasPrefix(line, "nameserver ") {
					mustSay(h.t, of, line)
				}
			}
		},
	}}
}

// inode is the number that the kernel gives a namespace.
func inode(t *testing.T, path string) string {
	t.Helper()
	return strings.TrimSpace(must(t, "stat", "-L", "-c", "%i", path))
}
