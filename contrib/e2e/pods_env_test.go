package e2e

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

func environmentCases() []podCase {
	return []podCase{{
		name: "environment",
		manifest: `
apiVersion: v1
kind: ConfigMap
metadata: {name: colours}
data: {grass: green, sky: blue}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {password: s3cret}
---
apiVersion: v1
kind: Service
metadata: {name: back-end}
spec: {clusterIP: 10.43.77.77, selector: {app: nobody}, ports: [{name: web, port: 80}, {name: dns, port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Pod
metadata: {name: environment, labels: {tier: front}, annotations: {note: hello}}
spec:
  restartPolicy: Never
  containers:
  - name: c
    image: IMAGE
    command: [sh, -c]
    args: ["echo 'ARGS=$(LITERAL)-$$(LITERAL)-$(NOBODY)'; env"]
    resources: {requests: {cpu: 250m, memory: 16Mi}, limits: {memory: 64Mi}}
    envFrom: [{configMapRef: {name: colours}, prefix: C_}, {secretRef: {name: keys}}, {configMapRef: {name: nothing, optional: true}}]
    env:
    - {name: LITERAL, value: one}
    - {name: EXPANDED, value: "$(LITERAL)-$$(LITERAL)-$(NOBODY)-$(LATER)"}
    - {name: LATER, value: two}
    - {name: C_sky, value: overridden}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: NS, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
    - {name: TIER, valueFrom: {fieldRef: {fieldPath: "metadata.labels['tier']"}}}
    - {name: NOTE, valueFrom: {fieldRef: {fieldPath: "metadata.annotations['note']"}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: HOST, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
    - {name: CPU, valueFrom: {resourceFieldRef: {resource: requests.cpu, divisor: 1m}}}
    - {name: SKY, valueFrom: {configMapKeyRef: {name: colours, key: sky}}}
    - {name: SEA, valueFrom: {configMapKeyRef: {name: colours, key: sea, optional: true}}}
    - {name: SECRET, valueFrom: {secretKeyRef: {name: keys, key: password}}}
    - {name: BACK, value: "http://$(BACK_END_SERVICE_HOST)"}
---
apiVersion: v1
kind: Pod
metadata: {name: nolinks}
spec:
  restartPolicy: Never
  enableServiceLinks: false
  containers: [{name: c, image: IMAGE, command: [env]}]
`,
		check: func(h *host) {
			have := h.output("environment")
			pod := h.waitPhase("environment", corev1.PodSucceeded)
			h.mustHave(have,
				"ARGS=one-$(LITERAL)-$(NOBODY)", "LITERAL=one", "EXPANDED=one-$(LITERAL)-$(NOBODY)-$(LATER)", "LATER=two",
				"C_grass=green", "C_sky=overridden", "password=s3cret",
				"POD=environment", "NS=default", "TIER=front", "NOTE=hello", "NODE=n1", "HOST="+h.address, "IP="+pod.Status.PodIP,
				"MEMORY=64", "CPU=250", "SKY=blue", "SECRET=s3cret", "HOSTNAME=environment",
				"BACK_END_SERVICE_HOST=10.43.77.77", "BACK_END_SERVICE_PORT=80", "BACK_END_SERVICE_PORT_WEB=80", "BACK_END_SERVICE_PORT_DNS=53",
				"BACK_END_PORT=tcp://10.43.77.77:80", "BACK_END_PORT_80_TCP=tcp://10.43.77.77:80", "BACK_END_PORT_53_UDP_PROTO=udp",
				"BACK_END_PORT_80_TCP_ADDR=10.43.77.77", "BACK=http://10.43.77.77", "KUBERNETES_SERVICE_PORT=443",
			)
			all := strings.Join(have, "\n")
			if strings.Contains(all, "SEA=") {
				h.t.Errorf("a key that is not there is set:\n%s", all)
			}
			all = strings.Join(h.output("nolinks"), "\n")
			if strings.Contains(all, "BACK_END") || !strings.Contains(all, "KUBERNETES_SERVICE_HOST=") {
				h.t.Errorf("without service links:\n%s", all)
			}
		},
	}, {
		name: "environment that is not there yet",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: early}
spec:
  restartPolicy: Never
  containers: [{name: c, image: IMAGE, command: [sh, -c, "echo $WHAT"], env: [{name: WHAT, valueFrom: {configMapKeyRef: {name: tardy, key: what}}}]}]
`,
		check: func(h *host) {
			h.waitWaiting("early", "c", "CreateContainerConfigError", "tardy")
			h.mustKubectl("create", "configmap", "tardy", "--from-literal=what=here")
			if out := h.output("early"); fmt.Sprint(out) != "[here]" {
				h.t.Errorf("output: %q", out)
			}
		},
	}}
}
