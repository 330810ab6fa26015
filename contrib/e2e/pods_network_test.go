package e2e

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func networkCases(client *host) []podCase {
	return []podCase{{
		name: "a port of the node",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: hostport}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "` + image + `", ports: [{containerPort: 8080, hostPort: 8088}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: hostport-too}
spec:
  nodeName: n1
  containers: [{name: c, image: "` + image + `", ports: [{containerPort: 8080, hostPort: 8088}]}]
`,
		check: func(h *host) {
			// Which of the two came first is open: one is refused by the node or
			// never placed by the scheduler.
			h.eventually(30*time.Second, func() error {
				out, err := client.try("curl", "-sS", "-m", "2", "http://"+h.address+":8088/")
				if err != nil || !strings.HasPrefix(out, "Hello from hostport") {
					return fmt.Errorf("%q, %v", out, err)
				}
				return nil
			})
			h.waitPod("hostport-too", func(pod *corev1.Pod) error {
				if pod.Status.Phase == corev1.PodFailed && pod.Status.Reason == "NodePorts" {
					return nil
				}
				if err := ready(pod); err != nil {
					return err
				}
				out, err := h.kubectl("get", "events", "--field-selector", "involvedObject.name=hostport")
				if err != nil || !strings.Contains(out, "didn't have free ports") {
					return fmt.Errorf("%s, %v", out, err)
				}
				return nil
			})
		},
	}}
}
