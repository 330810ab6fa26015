package registry_test

import (
	"fmt"
	"testing"

	"github.com/pintle-io/pintle/core/registry"
	"k8s.io/apimachinery/pkg/util/diff"
	"sigs.k8s.io/yaml"
)

func TestDefaults(t *testing.T) {
	r := builtin(t, registry.Options{})
	for _, c := range []struct{ name, manifest, want string }{
		{"pod", `
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  hostNetwork: true
  serviceAccount: robot
  volumes: [{name: e}, {name: s, secret: {secretName: s}}, {name: h, hostPath: {path: /x}}, {name: p, projected: {sources: [{downwardAPI: {items: [{path: f, fieldRef: {fieldPath: metadata.name}}]}}]}}]
  containers:
  - name: c
    image: registry:5000/web
    ports: [{containerPort: 80}]
    env: [{name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
    resources: {limits: {cpu: 1, memory: 1Mi}, requests: {cpu: 100u}}
    livenessProbe: {httpGet: {port: 80}}
    readinessProbe: {grpc: {port: 1}}
    lifecycle: {preStop: {httpGet: {port: 80}}}
`, `
metadata: {name: p}
spec:
  hostNetwork: true
  serviceAccount: robot
  serviceAccountName: robot
  dnsPolicy: ClusterFirst
  enableServiceLinks: true
  restartPolicy: Always
  schedulerName: default-scheduler
  securityContext: {}
  terminationGracePeriodSeconds: 30
  volumes:
  - {name: e, emptyDir: {}}
  - {name: s, secret: {secretName: s, defaultMode: 420}}
  - {name: h, hostPath: {path: /x, type: ""}}
  - {name: p, projected: {defaultMode: 420, sources: [{downwardAPI: {items: [{path: f, fieldRef: {apiVersion: v1, fieldPath: metadata.name}}]}}]}}
  containers:
  - name: c
    image: registry:5000/web
    imagePullPolicy: Always
    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
    ports: [{containerPort: 80, hostPort: 80, protocol: TCP}]
    env: [{name: NAME, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.name}}}]
    resources: {limits: {cpu: "1", memory: 1Mi}, requests: {cpu: 1m, memory: 1Mi}}
    livenessProbe: {httpGet: {port: 80, path: /, scheme: HTTP}, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3}
    readinessProbe: {grpc: {port: 1, service: ""}, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3}
    lifecycle: {preStop: {httpGet: {port: 80, path: /, scheme: HTTP}}}
status: {}
`},
		{"service", `
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {type: LoadBalancer, sessionAffinity: ClientIP, ports: [{port: 80}, {port: 90, targetPort: web, protocol: UDP}]}
`, `
metadata: {name: s}
spec:
  type: LoadBalancer
  allocateLoadBalancerNodePorts: true
  externalTrafficPolicy: Cluster
  internalTrafficPolicy: Cluster
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 10800}}
  ports: [{port: 80, targetPort: 80, protocol: TCP}, {port: 90, targetPort: web, protocol: UDP}]
status: {loadBalancer: {}}
`},
		{"replication controller", `
apiVersion: v1
kind: ReplicationController
metadata: {name: rc}
spec: {template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: 'web:1', resources: {limits: {cpu: 1}}}]}}}
`, `
metadata: {name: rc, labels: {app: a}}
spec:
  replicas: 1
  selector: {app: a}
  template:
    metadata: {labels: {app: a}}
    spec:
      dnsPolicy: ClusterFirst
      restartPolicy: Always
      schedulerName: default-scheduler
      securityContext: {}
      terminationGracePeriodSeconds: 30
      containers: [{name: c, image: 'web:1', imagePullPolicy: IfNotPresent, terminationMessagePath: /dev/termination-log, terminationMessagePolicy: File, resources: {limits: {cpu: "1"}}}]
status: {replicas: 0}
`},
		{"secret", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: b}\ndata: {a: eA==, c: eQ==}", "metadata: {name: s}\ntype: Opaque\ndata: {a: Yg==, c: eQ==}"},
		{"namespace", "apiVersion: v1\nkind: Namespace\nmetadata: {name: n1}", "metadata: {name: n1, labels: {kubernetes.io/metadata.name: n1}}\nspec: {}\nstatus: {}"},
		{"node", "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nspec: {podCIDR: 10.0.0.0/24}\nstatus: {capacity: {cpu: 2}}", `
metadata: {name: n1}
spec: {podCIDR: 10.0.0.0/24, podCIDRs: [10.0.0.0/24]}
status: {capacity: {cpu: "2"}, allocatable: {cpu: "2"}, daemonEndpoints: {kubeletEndpoint: {Port: 0}}, nodeInfo: {machineID: "", systemUUID: "", bootID: "", kernelVersion: "", osImage: "", containerRuntimeVersion: "", kubeletVersion: "", kubeProxyVersion: "", operatingSystem: "", architecture: ""}}`},
		{"plugin", "apiVersion: pintle.io/v1\nkind: Plugin\nmetadata: {name: binpack}\nspec: {type: scheduler, sha256: ABCD}", `
metadata: {name: binpack}
spec: {type: scheduler, name: binpack, executable: scheduler-binpack, mode: active, schedulerName: default-scheduler, sha256: abcd}
status: {}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			obj, k := decode(t, r, c.manifest)
			want := k.New()
			if err := yaml.UnmarshalStrict([]byte(c.want), want); err != nil {
				t.Fatal(err)
			}
			if d := diff.Diff(show(t, want), show(t, obj)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			again := obj.DeepCopyObject()
			k.Default(again)
			if d := diff.Diff(show(t, obj), show(t, again)); d != "" {
				t.Errorf("defaulting twice (-once +twice):\n%s", d)
			}
		})
	}
}

func show(t testing.TB, obj any) string {
	t.Helper()
	text, err := yaml.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPullPolicyByTag(t *testing.T) {
	r := builtin(t, registry.Options{})
	for image, want := range map[string]string{
		"web": "Always", "web:latest": "Always", "web:1": "IfNotPresent", "host:5000/web": "Always", "host:5000/web:2": "IfNotPresent",
		"web@sha256:aa": "IfNotPresent", "web:latest@sha256:aa": "Always", "web:1@sha256:aa": "IfNotPresent",
	} {
		obj, _ := decode(t, r, podManifest(fmt.Sprintf("image: %q", image), ""))
		if got := show(t, obj); !contains(got, "imagePullPolicy: "+want) {
			t.Errorf("%s: want %s in\n%s", image, want, got)
		}
	}
}
