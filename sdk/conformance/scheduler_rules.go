package conformance

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// SchedulerOptions are what the checks of a scheduler need to know.
type SchedulerOptions struct {
	// SchedulerName that the plugin is configured with; "default-scheduler"
	// where empty.
	SchedulerName string
}

// schedulerName is the spec.schedulerName that the plugin serves.
func (t *Target) schedulerName() string {
	if o := t.Options.Scheduler; o != nil && o.SchedulerName != "" {
		return o.SchedulerName
	}
	return corev1.DefaultSchedulerName
}

const podNamespace = "default"

func quantity(text string) resource.Quantity { return resource.MustParse(text) }

// aNode has 4 cores, 8 GiB and room for 100 pods.
func aNode(name string, change ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
		Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
			corev1.ResourceCPU: quantity("4"), corev1.ResourceMemory: quantity("8Gi"), corev1.ResourcePods: quantity("100"),
		}},
	}
	for _, c := range change {
		c(n)
	}
	return n
}

func labelled(key, value string) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Labels[key] = value }
}

func tainted(key, value string, effect corev1.TaintEffect) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Value: value, Effect: effect})
	}
}

// aPod is one of the scheduler's own that asks for nothing.
func (t *Target) aPod(name string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: podNamespace, Name: name},
		Spec: corev1.PodSpec{
			SchedulerName: t.schedulerName(),
			Containers:    []corev1.Container{{Name: "c", Image: "i"}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodPending},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func requests(name corev1.ResourceName, amount string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{name: quantity(amount)}
	}
}

func cpu(amount string) func(*corev1.Pod) { return requests(corev1.ResourceCPU, amount) }

func on(node string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.NodeName = node }
}

func app(name string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Labels = map[string]string{"app": name} }
}

func hostPort(port int32) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: port, HostPort: port, Protocol: corev1.ProtocolTCP}}
	}
}

func tolerating(all ...corev1.Toleration) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Tolerations = all }
}

// nearTo is a term about the pods of an app.
func nearTo(name, topology string) []corev1.PodAffinityTerm {
	return []corev1.PodAffinityTerm{{TopologyKey: topology, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}}}
}

func beside(name, topology string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: nearTo(name, topology)}}
	}
}

func awayFrom(name, topology string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: nearTo(name, topology)}}
	}
}

// placementRule is something that the API promises to every pod, with a world
// in which it leaves one node for the pod "p".
type placementRule struct {
	id, sentence string
	// node is the only right one; "" where there is none.
	node string
	// objects but for p, and p.
	objects func(t *Target) []runtime.Object
	pod     []func(*corev1.Pod)
}

func (r placementRule) check() Check {
	return Check{ID: "scheduler.rule." + r.id, Sentence: r.sentence, Run: func(ctx context.Context, t *Target) error {
		objects := append([]runtime.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: podNamespace}}}, r.objects(t)...)
		return place(ctx, t, append(objects, t.aPod("p", r.pod...)), func(p *placing) error {
			if r.node == "" {
				return p.mustWait("p", "no node is right")
			}
			node, err := p.mustBind("p")
			if err == nil && node != r.node {
				err = fmt.Errorf("it was bound to %s; %s alone is right", node, r.node)
			}
			return err
		})
	}}
}

func nodes(all ...runtime.Object) func(*Target) []runtime.Object {
	return func(*Target) []runtime.Object { return all }
}

func placementRules() []placementRule {
	const zone = corev1.LabelTopologyZone
	allocatable := func(name corev1.ResourceName, amount string) func(*corev1.Node) {
		return func(n *corev1.Node) { n.Status.Allocatable[name] = quantity(amount) }
	}
	return append([]placementRule{
		{
			id: "resources", sentence: "The requests of all pods on a node are within what it has, cpu and memory alike.", node: "c",
			objects: func(t *Target) []runtime.Object {
				return []runtime.Object{
					aNode("a"), aNode("b", allocatable(corev1.ResourceCPU, "16"), allocatable(corev1.ResourceMemory, "1Gi")), aNode("c"),
					t.aPod("other", cpu("3"), on("a")),
				}
			},
			pod: []func(*corev1.Pod){func(p *corev1.Pod) {
				p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: quantity("2"), corev1.ResourceMemory: quantity("2Gi")}
			}},
		},
		{
			id: "resources.init", sentence: "An init container's requests count where they are more than those of the containers; those of one that keeps running, and the overhead, are added.", node: "b",
			objects: nodes(aNode("a"), aNode("b", allocatable(corev1.ResourceCPU, "5"))),
			pod: []func(*corev1.Pod){cpu("1"), func(p *corev1.Pod) {
				always := corev1.ContainerRestartPolicyAlways
				sidecar, first := p.Spec.Containers[0], p.Spec.Containers[0]
				sidecar.Name, sidecar.RestartPolicy = "sidecar", &always
				first.Name, first.Resources.Requests = "first", corev1.ResourceList{corev1.ResourceCPU: quantity("3")}
				p.Spec.InitContainers = []corev1.Container{sidecar, first}
				p.Spec.Overhead = corev1.ResourceList{corev1.ResourceCPU: quantity("500m")}
			}},
		},
		{
			id: "resources.extended", sentence: "An extended resource is had only where there is enough of it.", node: "b",
			objects: nodes(aNode("a"), aNode("b", allocatable("example.com/gpu", "2")), aNode("c", allocatable("example.com/gpu", "1"))),
			pod:     []func(*corev1.Pod){requests("example.com/gpu", "2")},
		},
		{
			id: "pods", sentence: "A node has no more pods than its allocatable says.", node: "b",
			objects: func(t *Target) []runtime.Object {
				return []runtime.Object{aNode("a", allocatable(corev1.ResourcePods, "1")), aNode("b"), t.aPod("other", on("a"))}
			},
		},
		{
			id: "unschedulable", sentence: "A node that is unschedulable gets no pods.", node: "b",
			objects: nodes(aNode("a", func(n *corev1.Node) { n.Spec.Unschedulable = true }), aNode("b")),
		},
		{
			id: "nodeselector", sentence: "spec.nodeSelector is met.", node: "b",
			objects: nodes(aNode("a"), aNode("b", labelled("disk", "ssd")), aNode("c", labelled("disk", "spinning"))),
			pod:     []func(*corev1.Pod){func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "ssd"} }},
		},
		{
			id: "nodeaffinity", sentence: "Of the required terms of node affinity one is met: every expression of it.", node: "b",
			objects: nodes(aNode("a", labelled("cores", "4")), aNode("b", labelled("cores", "64"), labelled("disk", "ssd")), aNode("c", labelled("cores", "64"))),
			pod: []func(*corev1.Pod){func(p *corev1.Pod) {
				p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
					NodeSelectorTerms: []corev1.NodeSelectorTerm{
						{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "nowhere", Operator: corev1.NodeSelectorOpExists}}},
						{MatchExpressions: []corev1.NodeSelectorRequirement{
							{Key: "cores", Operator: corev1.NodeSelectorOpGt, Values: []string{"8"}},
							{Key: "disk", Operator: corev1.NodeSelectorOpIn, Values: []string{"ssd", "nvme"}},
						}},
					},
				}}}
			}},
		},
		{
			id: "ports", sentence: "A host port is given out once a node.", node: "b",
			objects: func(t *Target) []runtime.Object {
				return []runtime.Object{aNode("a"), aNode("b"), t.aPod("other", hostPort(8080), on("a"))}
			},
			pod: []func(*corev1.Pod){hostPort(8080)},
		},
	}, append(taintRules(), neighbourRules(zone)...)...)
}

func taintRules() []placementRule {
	return []placementRule{
		{
			id: "taints", sentence: "A taint NoSchedule or NoExecute keeps pods away that don't tolerate it; PreferNoSchedule does not.", node: "c",
			objects: nodes(
				aNode("a", tainted("k", "v", corev1.TaintEffectNoSchedule)), aNode("b", tainted("k", "v", corev1.TaintEffectNoExecute)),
				aNode("c", tainted("k", "v", corev1.TaintEffectPreferNoSchedule)),
			),
		},
		{
			id: "tolerations", sentence: "A toleration covers taints of its key, value and effect, and no others.", node: "b",
			objects: nodes(
				aNode("a", tainted("k", "other", corev1.TaintEffectNoSchedule)), aNode("b", tainted("k", "v", corev1.TaintEffectNoSchedule)),
				aNode("c", tainted("k", "v", corev1.TaintEffectNoExecute)),
			),
			pod: []func(*corev1.Pod){tolerating(corev1.Toleration{Key: "k", Operator: corev1.TolerationOpEqual, Value: "v", Effect: corev1.TaintEffectNoSchedule})},
		},
		{
			id: "tolerations.all", sentence: "A toleration with no key and the operator Exists covers every taint.", node: "a",
			objects: nodes(aNode("a", tainted("k", "v", corev1.TaintEffectNoSchedule), tainted("l", "", corev1.TaintEffectNoExecute))),
			pod:     []func(*corev1.Pod){tolerating(corev1.Toleration{Operator: corev1.TolerationOpExists})},
		},
	}
}

func neighbourRules(zone string) []placementRule {
	zoned := func(name, in string) *corev1.Node { return aNode(name, labelled(zone, in)) }
	return []placementRule{
		{
			id: "podaffinity", sentence: "A pod with required affinity goes where, in the same place of the topology, a pod is that it asks for.", node: "b",
			objects: func(t *Target) []runtime.Object {
				return []runtime.Object{zoned("a", "east"), zoned("b", "west"), zoned("c", "west"), t.aPod("other", app("db"), cpu("4"), on("c"))}
			},
			pod: []func(*corev1.Pod){beside("db", zone), cpu("1")},
		},
		{
			id: "podaffinity.nobody", sentence: "Where no pod is that a required affinity asks for, the pod waits.", node: "",
			objects: nodes(zoned("a", "east")), pod: []func(*corev1.Pod){beside("db", zone)},
		},
		{
			id: "podaffinity.first", sentence: "The first of pods that ask for each other is not kept waiting by that.", node: "b",
			objects: nodes(aNode("a"), zoned("b", "east")), pod: []func(*corev1.Pod){app("db"), beside("db", zone)},
		},
		{
			id: "podantiaffinity", sentence: "A pod with required anti-affinity keeps away from every place where such a pod is.", node: "c",
			objects: func(t *Target) []runtime.Object {
				return []runtime.Object{zoned("a", "east"), zoned("b", "east"), zoned("c", "west"), t.aPod("other", app("db"), on("a"))}
			},
			pod: []func(*corev1.Pod){awayFrom("db", zone)},
		},
		{
			id: "podantiaffinity.others", sentence: "The required anti-affinity of a pod that is there keeps others away from it, too.", node: "b",
			objects: func(t *Target) []runtime.Object {
				return []runtime.Object{zoned("a", "east"), zoned("b", "west"), t.aPod("other", awayFrom("web", zone), on("a"))}
			},
			pod: []func(*corev1.Pod){app("web")},
		},
		{
			id: "podantiaffinity.namespaces", sentence: "Terms about pods mean the pod's own namespace, unless they name others.", node: "b",
			objects: func(t *Target) []runtime.Object {
				elsewhere := func(p *corev1.Pod) { p.Namespace = "elsewhere" }
				return []runtime.Object{
					aNode("a"), aNode("b", tainted("k", "", corev1.TaintEffectPreferNoSchedule)),
					t.aPod("other", app("db"), on("a")), t.aPod("stranger", app("db"), elsewhere, on("b")),
				}
			},
			pod: []func(*corev1.Pod){awayFrom("db", corev1.LabelHostname)},
		},
		{
			id: "spread", sentence: "A topology spread constraint with DoNotSchedule keeps the difference between domains within maxSkew.", node: "c",
			objects: func(t *Target) []runtime.Object {
				return []runtime.Object{zoned("a", "east"), zoned("b", "east"), zoned("c", "west"), aNode("d"), t.aPod("other", app("web"), on("a"))}
			},
			pod: []func(*corev1.Pod){app("web"), func(p *corev1.Pod) {
				p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
					MaxSkew: 1, TopologyKey: zone, WhenUnsatisfiable: corev1.DoNotSchedule,
					LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
				}}
			}},
		},
	}
}
