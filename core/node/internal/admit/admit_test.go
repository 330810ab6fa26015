package admit

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func pod(cpu string, port int32, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}}
	c := &p.Spec.Containers[0]
	if cpu != "" {
		c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
	}
	if port > 0 {
		c.Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: port}}
	}
	for _, f := range change {
		f(p)
	}
	return p
}

func TestCheck(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{"disk": "ssd"}}}
	node.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourcePods: resource.MustParse("3")}
	others := []*corev1.Pod{pod("600m", 8080), pod("", 0)}
	for name, c := range map[string]struct {
		pod             *corev1.Pod
		others          []*corev1.Pod
		reason, message string
	}{
		"fits":       {pod("400m", 8081), others, "", ""},
		"cpu":        {pod("500m", 0), others, "OutOfcpu", "Pod was rejected: Node didn't have enough resource: cpu, requested: 500, used: 600, capacity: 1000"},
		"pods":       {pod("", 0), append(others, pod("", 0)), "OutOfpods", "Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3"},
		"port":       {pod("", 8080), others, "NodePorts", ""},
		"other ip":   {pod("", 8080, func(p *corev1.Pod) { p.Spec.Containers[0].Ports[0].HostIP = "10.0.0.1" }), others, "NodePorts", ""},
		"other kind": {pod("", 8080, func(p *corev1.Pod) { p.Spec.Containers[0].Ports[0].Protocol = corev1.ProtocolUDP }), others, "", ""},
		"host port": {pod("", 0, func(p *corev1.Pod) {
			p.Spec.HostNetwork = true
			p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 8080}}
		}), others, "NodePorts", ""},
		"selector": {pod("", 0, func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "hdd"} }), nil, "NodeAffinity", "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"},
	} {
		r := Check(c.pod, node, c.others)
		if r == nil {
			r = &Refusal{}
		}
		if r.Reason != c.reason || c.message != "" && r.Message != c.message {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
