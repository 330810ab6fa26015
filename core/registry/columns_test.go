package registry_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pintle-io/pintle/core/registry"
)

// row shows the cells of an object under the names of their columns.
func row(t *testing.T, r *registry.Registry, manifest string) string {
	t.Helper()
	obj, k := decode(t, r, manifest)
	cells := k.Row(obj, now)
	if len(cells) != len(k.Columns) {
		t.Fatalf("%d cells, %d columns", len(cells), len(k.Columns))
	}
	var out []string
	for i, c := range k.Columns {
		if _, isInt := cells[i].(int64); isInt != (c.Type == "integer") {
			t.Errorf("column %s of type %s has a %T", c.Name, c.Type, cells[i])
		}
		out = append(out, fmt.Sprintf("%s=%v", c.Name, cells[i]))
	}
	return strings.Join(out, " | ")
}

func TestColumns(t *testing.T) {
	r := builtin(t, registry.Options{})
	const made = "creationTimestamp: '2026-01-02T03:00:00Z'"
	for _, c := range []struct{ name, manifest, want string }{
		{"node", `
apiVersion: v1
kind: Node
metadata: {name: n1, ` + made + `, labels: {node-role.kubernetes.io/control-plane: "", kubernetes.io/role: worker}}
spec: {unschedulable: true}
status:
  conditions: [{type: Ready, status: "False"}]
  addresses: [{type: Hostname, address: n1}, {type: InternalIP, address: 10.0.0.1}]
  nodeInfo: {kubeletVersion: v1, osImage: Debian, kernelVersion: "6.1", containerRuntimeVersion: containerd://1.6}
`, "Name=n1 | Status=NotReady,SchedulingDisabled | Roles=control-plane,worker | Age=4m5s | Version=v1 | Internal-IP=10.0.0.1 | External-IP=<none> | OS-Image=Debian | Kernel-Version=6.1 | Container-Runtime=containerd://1.6"},
		{"service", `
apiVersion: v1
kind: Service
metadata: {name: s, ` + made + `}
spec: {type: NodePort, clusterIP: 10.43.0.9, clusterIPs: [10.43.0.9], selector: {b: c, a: b}, ports: [{port: 80, nodePort: 30080}, {port: 53, protocol: UDP}]}
`, "Name=s | Type=NodePort | Cluster-IP=10.43.0.9 | External-IP=<none> | Port(s)=80:30080/TCP,53/UDP | Age=4m5s | Selector=a=b,b=c"},
		{"load balancer", "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {type: LoadBalancer, ports: [{port: 80}]}",
			"Name=s | Type=LoadBalancer | Cluster-IP=<none> | External-IP=<pending> | Port(s)=80/TCP | Age=<unknown> | Selector=<none>"},
		{"external name", "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {type: ExternalName, externalName: example.com}",
			"Name=s | Type=ExternalName | Cluster-IP=<none> | External-IP=example.com | Port(s)=<none> | Age=<unknown> | Selector=<none>"},
		{"replica set", `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: rs, ` + made + `}
spec: {replicas: 3, selector: {matchLabels: {a: b}, matchExpressions: [{key: c, operator: Exists}]}, template: {spec: {containers: [{name: x, image: i}, {name: z, image: j}]}}}
status: {replicas: 2, readyReplicas: 1}
`, "Name=rs | Desired=3 | Current=2 | Ready=1 | Age=4m5s | Containers=x,z | Images=i,j | Selector=a=b,c"},
		{"endpoints", `
apiVersion: v1
kind: Endpoints
metadata: {name: e}
subsets: [{addresses: [{ip: 10.0.0.1}, {ip: 10.0.0.2}], ports: [{port: 80}, {port: 81}]}, {notReadyAddresses: [{ip: 10.0.0.9}]}]
`, "Name=e | Endpoints=10.0.0.1:80,10.0.0.1:81,10.0.0.2:80 + 1 more... | Age=<unknown>"},
		{"endpoint slice", `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: e}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}]
ports: [{port: 80}]
`, "Name=e | AddressType=IPv4 | Ports=80 | Endpoints=10.0.0.1,10.0.0.2 | Age=<unknown>"},
		{"empty endpoint slice", "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: e}\naddressType: IPv4",
			"Name=e | AddressType=IPv4 | Ports=<unset> | Endpoints=<unset> | Age=<unknown>"},
		{"event", `
apiVersion: v1
kind: Event
metadata: {name: e}
involvedObject: {kind: Pod, name: p, fieldPath: "spec.containers{c}"}
reason: Started
message: " Started it\n"
type: Normal
source: {component: agent, host: n1}
firstTimestamp: '2026-01-02T03:00:00Z'
lastTimestamp: '2026-01-02T03:04:00Z'
count: 3
`, "Last Seen=5s | Type=Normal | Reason=Started | Object=pod/p | Subobject=spec.containers{c} | Source=agent, n1 | Message=Started it | First Seen=4m5s | Count=3 | Name=e"},
		{"new event", "apiVersion: v1\nkind: Event\nmetadata: {name: e}\ninvolvedObject: {kind: Node, name: n1}\nreportingComponent: sched\nreportingInstance: s-1\neventTime: '2026-01-02T03:04:00.000000Z'\nseries: {count: 7, lastObservedTime: '2026-01-02T03:04:03.000000Z'}",
			"Last Seen=2s | Type= | Reason= | Object=node/n1 | Subobject= | Source=sched, s-1 | Message= | First Seen=5s | Count=7 | Name=e"},
		{"plugin", `
apiVersion: pintle.io/v1
kind: Plugin
metadata: {name: spread, ` + made + `}
spec: {type: scheduler}
status: {phase: Running, version: v0.1, restarts: 2, pid: 42, ready: 1/1, executable: /opt/scheduler-spread, lastError: "exit status 2"}
`, "Name=spread | Type=scheduler | Mode=active | Phase=Running | Ready=1/1 | Version=v0.1 | Restarts=2 | Age=4m5s | Executable=/opt/scheduler-spread | PID=42 | Last-Error=exit status 2"},
		{"lease", "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: l}\nspec: {holderIdentity: me}", "Name=l | Holder=me | Age=<unknown>"},
		{"secret", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: b}", "Name=s | Type=Opaque | Data=1 | Age=<unknown>"},
		{"config map", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\nbinaryData: {c: eA==}", "Name=c | Data=2 | Age=<unknown>"},
		{"namespace", "apiVersion: v1\nkind: Namespace\nmetadata: {name: n1}\nstatus: {phase: Active}", "Name=n1 | Status=Active | Age=<unknown>"},
		{"service account", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default}", "Name=default | Secrets=0 | Age=<unknown>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := row(t, r, c.manifest); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestPodColumns(t *testing.T) {
	r := builtin(t, registry.Options{})
	const (
		running  = "state: {running: {}}, ready: true, started: true, image: i, imageID: x, restartCount: 0"
		finished = "state: {terminated: {exitCode: 0, reason: Completed}}, ready: false, image: i, imageID: x, restartCount: 0"
	)
	pod := func(meta, spec, status string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: p" + meta + "}\nspec: {containers: [{name: a, image: i}, {name: b, image: i}]" + spec + "}\nstatus: {" + status + "}\n"
	}
	initSpec := ", initContainers: [{name: x, image: i}, {name: z, image: i}]"
	sidecarSpec := ", initContainers: [{name: x, image: i, restartPolicy: Always}]"
	for _, c := range []struct{ name, manifest, ready, status, restarts string }{
		{"pending", pod("", "", "phase: Pending"), "0/2", "Pending", "0"},
		{"reason", pod("", "", "phase: Failed, reason: Evicted"), "0/2", "Evicted", "0"},
		{"gated", pod("", "", "phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: SchedulingGated}]"), "0/2", "SchedulingGated", "0"},
		{"creating", pod("", "", "phase: Pending, containerStatuses: [{name: a, state: {waiting: {reason: ContainerCreating}}, ready: false, image: i, imageID: '', restartCount: 0}]"), "0/2", "ContainerCreating", "0"},
		{"running", pod("", "", "phase: Running, containerStatuses: [{name: a, "+running+"}, {name: b, "+running+"}]"), "2/2", "Running", "0"},
		{"restarted", pod("", "", "phase: Running, containerStatuses: [{name: a, state: {running: {}}, ready: true, image: i, imageID: x, restartCount: 2, lastState: {terminated: {exitCode: 1, finishedAt: '2026-01-02T03:04:00Z'}}}, {name: b, "+running+"}]"), "2/2", "Running", "2 (5s ago)"},
		{"crash loop", pod("", "", "phase: Running, containerStatuses: [{name: a, "+running+"}, {name: b, state: {waiting: {reason: CrashLoopBackOff}}, ready: false, image: i, imageID: x, restartCount: 4}]"), "1/2", "CrashLoopBackOff", "4"},
		{"error", pod("", "", "phase: Failed, containerStatuses: [{name: a, state: {terminated: {exitCode: 3}}, ready: false, image: i, imageID: x, restartCount: 0}]"), "0/2", "ExitCode:3", "0"},
		{"signal", pod("", "", "phase: Failed, containerStatuses: [{name: a, state: {terminated: {exitCode: 137, signal: 9}}, ready: false, image: i, imageID: x, restartCount: 0}]"), "0/2", "Signal:9", "0"},
		{"completed", pod("", "", "phase: Succeeded, containerStatuses: [{name: a, "+finished+"}, {name: b, "+finished+"}]"), "0/2", "Completed", "0"},
		{"one completed, ready", pod("", "", "phase: Running, conditions: [{type: Ready, status: 'True'}], containerStatuses: [{name: a, "+finished+"}, {name: b, "+running+"}]"), "1/2", "Running", "0"},
		{"one completed, not ready", pod("", "", "phase: Running, containerStatuses: [{name: a, "+finished+"}, {name: b, "+running+"}]"), "1/2", "NotReady", "0"},
		{"terminating", pod(", deletionTimestamp: '2026-01-02T03:04:00Z'", "", "phase: Running, containerStatuses: [{name: a, "+running+"}]"), "1/2", "Terminating", "0"},
		{"lost", pod(", deletionTimestamp: '2026-01-02T03:04:00Z'", "", "phase: Running, reason: NodeLost"), "0/2", "Unknown", "0"},
		{"deleted and done", pod(", deletionTimestamp: '2026-01-02T03:04:00Z'", "", "phase: Succeeded"), "0/2", "Succeeded", "0"},
		{"first init", pod("", initSpec, "phase: Pending, initContainerStatuses: [{name: x, state: {running: {}}, ready: false, image: i, imageID: x, restartCount: 0}, {name: z, state: {waiting: {reason: PodInitializing}}, ready: false, image: i, imageID: '', restartCount: 0}]"), "0/2", "Init:0/2", "0"},
		{"second init", pod("", initSpec, "phase: Pending, initContainerStatuses: [{name: x, "+finished+"}, {name: z, state: {running: {}}, ready: false, image: i, imageID: x, restartCount: 0}]"), "0/2", "Init:1/2", "0"},
		{"init error", pod("", initSpec, "phase: Pending, initContainerStatuses: [{name: x, state: {terminated: {exitCode: 1, reason: Error}}, ready: false, image: i, imageID: x, restartCount: 0}]"), "0/2", "Init:Error", "0"},
		{"init crash loop", pod("", initSpec, "phase: Pending, initContainerStatuses: [{name: x, state: {waiting: {reason: CrashLoopBackOff}}, ready: false, image: i, imageID: x, restartCount: 3}]"), "0/2", "Init:CrashLoopBackOff", "3"},
		{"init done", pod("", initSpec, "phase: Running, initContainerStatuses: [{name: x, state: {terminated: {exitCode: 0, reason: Completed}}, ready: true, image: i, imageID: x, restartCount: 5}], containerStatuses: [{name: a, "+running+"}, {name: b, "+running+"}]"), "2/2", "Running", "0"},
		{"sidecar", pod("", sidecarSpec, "phase: Running, initContainerStatuses: [{name: x, state: {running: {}}, ready: true, started: true, image: i, imageID: x, restartCount: 1}], containerStatuses: [{name: a, "+running+"}, {name: b, "+running+"}]"), "3/3", "Running", "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := fmt.Sprintf("Name=p | Ready=%s | Status=%s | Restarts=%s | Age=<unknown> | IP=<none> | Node=<none> | Nominated Node=<none> | Readiness Gates=<none>", c.ready, c.status, c.restarts)
			if got := row(t, r, c.manifest); got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
		})
	}
	wide := row(t, r, "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {nodeName: n1, readinessGates: [{conditionType: a}, {conditionType: b}], containers: []}\nstatus: {phase: Running, podIP: 10.0.0.1, nominatedNodeName: n2, conditions: [{type: b, status: 'True'}]}")
	if !strings.HasSuffix(wide, "IP=10.0.0.1 | Node=n1 | Nominated Node=n2 | Readiness Gates=1/2") {
		t.Error(wide)
	}
}
