package scheduler

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func port(ip string, number int32, protocol corev1.Protocol) podChange {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Ports = append(p.Spec.Containers[0].Ports, corev1.ContainerPort{HostIP: ip, HostPort: number, Protocol: protocol})
	}
}

func TestNodeFilters(t *testing.T) {
	cordoned := nodeWith("a", func(n *corev1.Node) { n.Spec.Unschedulable = true })
	const untoleratedKV = "node(s) had untolerated taint {k: v}"
	testFilters(t, []filterCase{
		{"plain", []any{nodeWith("a")}, nil, "a: ok"},
		{"cordoned", []any{cordoned}, nil, "a: " + reasonUnschedulable},
		{"cordoned and tolerated", []any{cordoned},
			[]podChange{tolerating(corev1.Toleration{Key: corev1.TaintNodeUnschedulable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule})}, "a: ok"},
		{"every effect", []any{
			nodeWith("a", taint("k", "v", corev1.TaintEffectNoSchedule)), nodeWith("b", taint("k", "v", corev1.TaintEffectNoExecute)),
			nodeWith("c", taint("k", "v", corev1.TaintEffectPreferNoSchedule)),
		}, nil, "a: " + untoleratedKV + "; b: " + untoleratedKV + "; c: ok"},
		{"the first untolerated taint is named", []any{
			nodeWith("a", taint("x", "", corev1.TaintEffectNoSchedule), taint("k", "v", corev1.TaintEffectNoSchedule), taint("l", "w", corev1.TaintEffectNoSchedule)),
		}, []podChange{tolerating(corev1.Toleration{Key: "x", Operator: corev1.TolerationOpExists})}, "a: " + untoleratedKV},
	})
}

func TestTolerates(t *testing.T) {
	taint := corev1.Taint{Key: "k", Value: "5", Effect: corev1.TaintEffectNoSchedule}
	for _, c := range []struct {
		name string
		t    corev1.Toleration
		want bool
	}{
		{"same", corev1.Toleration{Key: "k", Operator: corev1.TolerationOpEqual, Value: "5", Effect: corev1.TaintEffectNoSchedule}, true},
		{"no operator means equal", corev1.Toleration{Key: "k", Value: "5"}, true},
		{"no effect means every effect", corev1.Toleration{Key: "k", Operator: corev1.TolerationOpExists}, true},
		{"no key with exists means every key", corev1.Toleration{Operator: corev1.TolerationOpExists}, true},
		{"no key with exists, other effect", corev1.Toleration{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}, false},
		{"no key with equal", corev1.Toleration{Operator: corev1.TolerationOpEqual, Value: "5"}, false},
		{"other value", corev1.Toleration{Key: "k", Operator: corev1.TolerationOpEqual, Value: "6"}, false},
		{"other key", corev1.Toleration{Key: "l", Operator: corev1.TolerationOpExists}, false},
		{"other effect", corev1.Toleration{Key: "k", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}, false},
		{"taint less than", corev1.Toleration{Key: "k", Operator: corev1.TolerationOpLt, Value: "6"}, true},
		{"taint not less than", corev1.Toleration{Key: "k", Operator: corev1.TolerationOpLt, Value: "5"}, false},
		{"taint greater than", corev1.Toleration{Key: "k", Operator: corev1.TolerationOpGt, Value: "4"}, true},
		{"no figure", corev1.Toleration{Key: "k", Operator: corev1.TolerationOpGt, Value: "x"}, false},
		{"unknown operator", corev1.Toleration{Key: "k", Operator: "Like", Value: "5"}, false},
	} {
		if got := tolerates(&c.t, &taint); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestRoom(t *testing.T) {
	gpus := func(n string) func(*corev1.Node) {
		return func(node *corev1.Node) { node.Status.Allocatable["example.com/gpu"] = list("x", n)["x"] }
	}
	full := func(n *corev1.Node) { n.Status.Allocatable["pods"] = list("x", "1")["x"] }
	testFilters(t, []filterCase{
		{"to the last millicore", []any{nodeWith("a"), testPod("o", "3", on("a"))}, nil, "a: ok"},
		{"a millicore too much", []any{nodeWith("a"), testPod("o", "3001m", on("a"))}, nil, "a: Insufficient cpu"},
		{"memory", []any{nodeWith("a")}, []podChange{requesting("memory", "9Gi")}, "a: Insufficient memory"},
		{"ephemeral storage that nobody has", []any{nodeWith("a")}, []podChange{requesting("ephemeral-storage", "1")}, "a: Insufficient ephemeral-storage"},
		{"extended", []any{nodeWith("a", gpus("1")), nodeWith("b", gpus("2")), nodeWith("c")}, []podChange{requesting("example.com/gpu", "2")},
			"a: Insufficient example.com/gpu; b: ok; c: Insufficient example.com/gpu"},
		{"every short resource is told", []any{nodeWith("a", full), testPod("o", "1", on("a"))}, []podChange{requesting("cpu", "9", "memory", "9Gi")},
			"a: Insufficient cpu, Insufficient memory, Too many pods"},
		{"nothing asked of what is overcommitted", []any{nodeWith("a"), testPod("o", "9", on("a"))}, []podChange{requesting()}, "a: ok"},
		{"no number of pods is none", []any{nodeWith("a", func(n *corev1.Node) { delete(n.Status.Allocatable, "pods") })}, nil, "a: Too many pods"},
		{"a pod on its way out still takes room", []any{nodeWith("a"), testPod("o", "4", on("a"), going)}, nil, "a: Insufficient cpu"},
		{"a pod on a node that is not known", []any{nodeWith("a"), testPod("o", "4", on("b"))}, nil, "a: ok"},
	})
}

func TestPorts(t *testing.T) {
	const tcp, udp = corev1.ProtocolTCP, corev1.ProtocolUDP
	sidecar := func(p *corev1.Pod) {
		always := corev1.ContainerRestartPolicyAlways
		c := p.Spec.Containers[0]
		c.RestartPolicy = &always
		p.Spec.InitContainers = []corev1.Container{c}
		p.Spec.Containers[0].Ports = nil
	}
	for _, c := range []struct {
		name          string
		there, wanted []podChange
		free          bool
	}{
		{"same", []podChange{port("", 80, tcp)}, []podChange{port("", 80, tcp)}, false},
		{"other number", []podChange{port("", 80, tcp)}, []podChange{port("", 81, tcp)}, true},
		{"other protocol", []podChange{port("", 80, tcp)}, []podChange{port("", 80, udp)}, true},
		{"no protocol is tcp", []podChange{port("", 80, tcp)}, []podChange{port("", 80, "")}, false},
		{"other address", []podChange{port("10.0.0.1", 80, tcp)}, []podChange{port("10.0.0.2", 80, tcp)}, true},
		{"every address there", []podChange{port("0.0.0.0", 80, tcp)}, []podChange{port("10.0.0.2", 80, tcp)}, false},
		{"every address wanted", []podChange{port("10.0.0.1", 80, tcp)}, []podChange{port("", 80, tcp)}, false},
		{"one of several", []podChange{port("", 80, tcp)}, []podChange{port("", 79, tcp), port("", 80, tcp)}, false},
		{"an init container that keeps running", []podChange{port("", 80, tcp), sidecar}, []podChange{port("", 80, tcp)}, false},
		{"no host port", []podChange{port("", 0, tcp)}, []podChange{port("", 0, tcp)}, true},
	} {
		want := "a: ok"
		if !c.free {
			want = "a: " + reasonPorts
		}
		view := viewOf(nodeWith("a"), testPod("o", "1", append(c.there, on("a"))...))
		if got := verdicts(newPod(testPod("p", "1", c.wanted...)), view); got != want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

type noGPU struct{}

func (noGPU) Name() string { return "gpu" }
func (noGPU) Filter(_ *Pod, node *Node, _ *Snapshot) string {
	if node.Labels["gpu"] == "" {
		return "node(s) had no GPU"
	}
	return ""
}

func TestFilterOfAProfile(t *testing.T) {
	view := viewOf(nodeWith("a"), nodeWith("b", label("gpu", "yes")))
	if got := verdicts(newPod(testPod("p", "1")), view, noGPU{}); got != "a: node(s) had no GPU; b: ok" {
		t.Error(got)
	}
}
