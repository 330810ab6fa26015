package registry_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pintle-io/pintle/core/registry"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestValidationOfSmallKinds(t *testing.T) {
	r := builtin(t, registry.Options{})
	for _, c := range []struct {
		name, manifest string
		want           []string
	}{
		{"config map", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {'a b': x, c: d}\nbinaryData: {c: eA==}", []string{
			`data[a b]: Invalid value: "a b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')`,
			`data[c]: Invalid value: "c": duplicate of key present in binaryData`}},
		{"big config map", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: " + strings.Repeat("x", 1<<20) + "x}", []string{
			`[]: Too long: may not be more than 1048576 bytes`}},
		{"tls secret", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: kubernetes.io/tls", []string{
			"data[tls.crt]: Required value", "data[tls.key]: Required value"}},
		{"pull secret", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: '{'}", []string{
			`data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": unexpected end of JSON input`}},
		{"basic auth", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: kubernetes.io/basic-auth", []string{
			"data[username]: Required value", "data[password]: Required value"}},
		{"token", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: kubernetes.io/service-account-token", []string{
			"metadata.annotations[kubernetes.io/service-account.name]: Required value"}},
		{"namespace name", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a.b}", []string{
			`metadata.name: Invalid value: "a.b": must not contain dots`}},
		{"lease", "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: l}\nspec: {leaseDurationSeconds: 0, leaseTransitions: -1}", []string{
			"spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
			"spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0"}},
		{"event elsewhere", "apiVersion: v1\nkind: Event\nmetadata: {name: e, namespace: a}\ninvolvedObject: {namespace: b}", []string{
			`involvedObject.namespace: Invalid value: "b": does not match event.namespace`}},
		{"event of a node", "apiVersion: v1\nkind: Event\nmetadata: {name: e, namespace: default}\ninvolvedObject: {kind: Node}", nil},
		{"endpoints", "apiVersion: v1\nkind: Endpoints\nmetadata: {name: e}\nsubsets: [{}, {addresses: [{ip: 127.0.0.1}, {ip: 10.0.0.1}], ports: [{port: 1}, {port: 0, name: b}]}]", []string{
			"subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`",
			`subsets[1].addresses[0].ip: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)`,
			"subsets[1].ports[0].name: Required value",
			"subsets[1].ports[1].port: Invalid value: 0: must be between 1 and 65535, inclusive"}},
		{"endpoint slice", "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: e}\naddressType: IPv4\nendpoints: [{addresses: []}, {addresses: ['fd00::1'], nodeName: A_}]\nports: [{name: a}, {name: a}]", []string{
			"endpoints[0].addresses: Required value: must contain at least 1 address",
			`endpoints[1].addresses[0]: Invalid value: "fd00::1": must be an IPv4 address`,
			`endpoints[1].nodeName: Invalid value: "A_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
			`ports[1].name: Duplicate value: "a"`}},
		{"node", "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nspec: {podCIDRs: [10.0.0.0/24, 10.0.1.0/24], taints: [{key: k, effect: Never}, {key: j, effect: NoSchedule}, {key: j, value: v, effect: NoSchedule}]}\nstatus: {addresses: [{type: InternalIP, address: a}, {type: InternalIP, address: a}], capacity: {cpu: -1}}", []string{
			`spec.podCIDRs: Invalid value: ["10.0.0.0/24","10.0.1.0/24"]: may specify no more than one CIDR for each IP family`,
			`spec.taints[0].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"`,
			`spec.taints[2]: Duplicate value: {"key":"j","value":"v","effect":"NoSchedule"}: taints must be unique by key and effect pair`,
			`status.addresses[1]: Duplicate value: {"type":"InternalIP","address":"a"}`,
			`status.allocatable[cpu]: Invalid value: "-1": must be greater than or equal to 0`,
			`status.capacity[cpu]: Invalid value: "-1": must be greater than or equal to 0`}},
		{"plugin", "apiVersion: pintle.io/v1\nkind: Plugin\nmetadata: {name: p}\nspec: {type: volume, mode: shadow, sha256: xyz, executable: ../sh, schedulerName: s, permissions: [{resources: [pods], verbs: [fly]}]}", []string{
			`spec.mode: Invalid value: "shadow": only plugins of type scheduler and controller can run as a shadow`,
			`spec.sha256: Invalid value: "xyz": must be the SHA-256 of the executable: 64 hexadecimal digits`,
			`spec.executable: Invalid value: "../sh": must be an absolute path or the name of a file in the plugin directory`,
			"spec.schedulerName: Forbidden: may only be set for plugins of type scheduler",
			"spec.permissions: Forbidden: may only be set for plugins of type scheduler and controller",
			`spec.permissions[0].verbs[0]: Unsupported value: "fly": supported values: "*", "create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"`}},
		{"plugin type", "apiVersion: pintle.io/v1\nkind: Plugin\nmetadata: {name: p}\nspec: {executable: x, config: [1]}", []string{
			"spec.type: Required value",
			`spec.config: Invalid value: "[1]": must be an object`}},
		{"replica set", "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: rs}\nspec: {replicas: -1, minReadySeconds: -1, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: c}}, spec: {restartPolicy: Never, activeDeadlineSeconds: 5, containers: [{name: c, image: i}]}}}", []string{
			"spec.replicas: Invalid value: -1: must be greater than or equal to 0",
			"spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0",
			"spec.template.metadata.labels: Invalid value: {\"a\":\"c\"}: `selector` does not match template `labels`",
			`spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"`,
			"spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported"}},
		{"replica set without selector", "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: rs}\nspec: {template: {spec: {containers: [{name: c, image: i}]}}}", []string{
			"spec.selector: Required value",
			"spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`"}},
		{"replication controller", "apiVersion: v1\nkind: ReplicationController\nmetadata: {name: rc}\nspec: {selector: {a: b}, template: {metadata: {labels: {c: d}}, spec: {}}}", []string{
			"spec.template.metadata.labels: Invalid value: {\"c\":\"d\"}: `selector` does not match template `labels`",
			"spec.template.spec.containers: Required value"}},
		{"empty replication controller", "apiVersion: v1\nkind: ReplicationController\nmetadata: {name: rc}", []string{
			"spec.selector: Required value", "spec.template: Required value"}},
	} {
		t.Run(c.name, func(t *testing.T) { expect(t, createErrors(t, r, c.manifest), c.want...) })
	}
}

func TestUpdatesOfSmallKinds(t *testing.T) {
	r := builtin(t, registry.Options{})
	for _, c := range []struct {
		name, old, manifest string
		want                []string
	}{
		{"immutable config map", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\nimmutable: true\ndata: {a: b}", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: c}", []string{
			"immutable: Forbidden: field is immutable when `immutable` is set", "data: Forbidden: field is immutable when `immutable` is set"}},
		{"secret type", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: my/own", []string{
			`type: Invalid value: "my/own": field is immutable`}},
		{"node range", "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nspec: {podCIDR: 10.0.0.0/24, providerID: a}", "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nspec: {podCIDR: 10.0.1.0/24, providerID: b}", []string{
			`spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid`,
			`spec.providerID: Forbidden: node updates may not change providerID except from "" to valid`}},
		{"replica set selector", replicaSet("a: b"), replicaSet("c: d"), []string{
			`spec.selector: Invalid value: {"matchLabels":{"c":"d"}}: field is immutable`}},
		{"plugin type", "apiVersion: pintle.io/v1\nkind: Plugin\nmetadata: {name: p}\nspec: {type: volume}", "apiVersion: pintle.io/v1\nkind: Plugin\nmetadata: {name: p}\nspec: {type: network}", []string{
			`spec.type: Invalid value: "network": field is immutable`}},
		{"slice type", "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: e}\naddressType: IPv4", "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: e}\naddressType: IPv6", []string{
			`addressType: Invalid value: "IPv6": field is immutable`}},
	} {
		t.Run(c.name, func(t *testing.T) { expect(t, updateErrors(t, r, c.old, c.manifest), c.want...) })
	}
}

func replicaSet(label string) string {
	return fmt.Sprintf("apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: rs}\nspec: {selector: {matchLabels: {%s}}, template: {metadata: {labels: {%s}}, spec: {containers: [{name: c, image: i}]}}}", label, label)
}

// The spec belongs to the main resource and status to its own: neither write
// can reach the other half.
func TestStatusAndSpecAreApart(t *testing.T) {
	r := builtin(t, registry.Options{})
	for _, c := range []struct{ group, resource, old, next string }{
		{"", "pods", podWith("nodeName: n1") + "status: {phase: Running}", podManifest("image: other", "nodeName: n1") + "status: {phase: Failed}"},
		{"apps", "replicasets", replicaSet("a: b") + "\nstatus: {replicas: 1}", strings.Replace(replicaSet("a: b"), "image: i", "image: j", 1) + "\nstatus: {replicas: 2}"},
		{"", "nodes", "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nspec: {unschedulable: true}\nstatus: {phase: Running}", "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {phase: Pending}"},
		{"pintle.io", "plugins", "apiVersion: pintle.io/v1\nkind: Plugin\nmetadata: {name: p}\nspec: {type: volume}\nstatus: {pid: 1}", "apiVersion: pintle.io/v1\nkind: Plugin\nmetadata: {name: p}\nspec: {type: volume, mode: disabled}\nstatus: {pid: 2}"},
	} {
		t.Run(c.resource, func(t *testing.T) {
			old, k := decode(t, r, c.old)
			old.(metav1.Object).SetGeneration(7)
			next, _ := decode(t, r, c.next)
			if !k.Status {
				t.Fatal("no status subresource")
			}
			spec := next.DeepCopyObject()
			k.PrepareForUpdate(t.Context(), spec, old)
			if g := spec.(metav1.Object).GetGeneration(); g != 8 {
				t.Errorf("generation %d after a change of spec, want 8", g)
			}
			status := next.DeepCopyObject()
			k.PrepareForStatusUpdate(t.Context(), status, old)
			both := old.DeepCopyObject()
			k.PrepareForUpdate(t.Context(), both, old)
			if g := both.(metav1.Object).GetGeneration(); g != 7 {
				t.Errorf("generation %d without a change, want 7", g)
			}
			specText, statusText := show(t, spec), show(t, status)
			_, newStatus, _ := strings.Cut(show(t, next), "\nstatus:")
			_, oldStatus, _ := strings.Cut(show(t, old), "\nstatus:")
			if !strings.HasSuffix(specText, "status:"+oldStatus) || newStatus == oldStatus {
				t.Errorf("an update changed the status:\n%s", specText)
			}
			oldSpec := section(show(t, old), "spec:", "\nstatus:")
			if section(statusText, "spec:", "\nstatus:") != oldSpec || !strings.HasSuffix(statusText, "status:"+newStatus) {
				t.Errorf("an update of the status:\n%s", statusText)
			}
		})
	}
}

func section(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

func TestPodLifecycle(t *testing.T) {
	r := builtin(t, registry.Options{})
	obj, k := created(t, r, podManifest("image: i\nresources: {limits: {cpu: 1, memory: 1Gi}}", "schedulingGates: [{name: g}]")+"status: {phase: Running}")
	pod := obj.(*corev1.Pod)
	if pod.Status.Phase != corev1.PodPending || pod.Status.QOSClass != corev1.PodQOSGuaranteed || pod.Generation != 1 {
		t.Errorf("a new pod is %+v", pod.Status)
	}
	if c := pod.Status.Conditions; len(c) != 1 || c[0].Reason != corev1.PodReasonSchedulingGated {
		t.Errorf("conditions of a gated pod: %+v", c)
	}
	for _, c := range []struct {
		name         string
		node         string
		phase        corev1.PodPhase
		asked        *int64
		wantSeconds  int64
		wantGraceful bool
	}{
		{"not scheduled", "", corev1.PodPending, nil, 0, false},
		{"running", "n1", corev1.PodRunning, nil, 30, true},
		{"asked for less", "n1", corev1.PodRunning, new(int64(5)), 5, true},
		{"forced", "n1", corev1.PodRunning, new(int64(0)), 0, false},
		{"negative", "n1", corev1.PodRunning, new(int64(-3)), 1, true},
		{"done", "n1", corev1.PodSucceeded, nil, 0, false},
	} {
		pod.Spec.NodeName, pod.Status.Phase = c.node, c.phase
		if seconds, graceful := k.GracePeriod(pod, c.asked); seconds != c.wantSeconds || graceful != c.wantGraceful {
			t.Errorf("%s: %d %v, want %d %v", c.name, seconds, graceful, c.wantSeconds, c.wantGraceful)
		}
	}
}

func TestPodStatusUpdate(t *testing.T) {
	r := builtin(t, registry.Options{})
	ended := "status: {phase: Running, qosClass: BestEffort, containerStatuses: [{name: c, ready: false, restartCount: 0, image: i, imageID: x, state: {terminated: {exitCode: 1}}}]}"
	again := "status: {phase: Running, qosClass: Burstable, nominatedNodeName: A, podIPs: [{ip: x}, {ip: 10.0.0.1}, {ip: 10.0.0.1}], hostIP: 10.0.0.3, hostIPs: [{ip: 10.0.0.2}], containerStatuses: [{name: c, ready: false, restartCount: 1, image: i, imageID: x, state: {running: {}}}]}"
	for policy, want := range map[string][]string{
		"Always": nil, "OnFailure": nil,
		"Never": {"status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"},
	} {
		old, k := decode(t, r, podWith("restartPolicy: "+policy)+ended)
		next, _ := decode(t, r, podWith("restartPolicy: "+policy)+again)
		expect(t, texts(k.ValidateStatusUpdate(next, old)), append(want,
			`status.qosClass: Invalid value: "Burstable": field is immutable`,
			`status.nominatedNodeName: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
			`status.podIPs[2]: Duplicate value: "10.0.0.1"`,
			`status.podIPs: Invalid value: ["x","10.0.0.1","10.0.0.1"]: may specify no more than one IP for each IP family`,
			"status.hostIPs[0].ip: Invalid value: \"10.0.0.2\": must be equal to `hostIP`",
			`status.podIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`)...)
	}
}

func TestScale(t *testing.T) {
	r := builtin(t, registry.Options{})
	for _, manifest := range []string{
		replicaSet("a: b") + "\nstatus: {replicas: 2, readyReplicas: 1}",
		"apiVersion: v1\nkind: ReplicationController\nmetadata: {name: rc}\nspec: {template: {metadata: {labels: {a: b}}}}\nstatus: {replicas: 2, readyReplicas: 1}",
	} {
		obj, k := decode(t, r, manifest)
		if got, want := k.Scale.Get(obj), (registry.ScaleValue{Desired: 1, Replicas: 2, ReadyReplicas: 1, Selector: "a=b"}); got != want {
			t.Errorf("%s: %+v, want %+v", k.Resource, got, want)
		}
		k.Scale.Set(obj, 9)
		if got := k.Scale.Get(obj).Desired; got != 9 {
			t.Errorf("%s: %d replicas after setting 9", k.Resource, got)
		}
	}
}
