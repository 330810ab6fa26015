package scheduler

import (
	"fmt"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// Pod is a pod as schedulers see it, with what they ask for again and again
// worked out once.
type Pod struct {
	Namespace, Name string
	UID             types.UID
	Labels          map[string]string
	// Owner is the UID of the controlling owner, or "".
	Owner types.UID
	// Node is where the pod is, "" for one that waits.
	Node string
	// Requests at the pod's peak.
	Requests Resources
	// Spec of a pod that waits; nil for one that has a node.
	Spec *corev1.PodSpec

	// owner is Owner in a form that is compared at once.
	owner       unique.Handle[types.UID]
	terminating bool
	// unreadable says which of its terms can't be read, or is nil.
	unreadable error
	// load is what scores count for it.
	load      load
	ports     []hostPort
	node      nodeTerms
	affinity  []podTerm // required
	anti      []podTerm // required
	preferred []weightedTerm
	spread    []spreadTerm
	// scheduled is the pod's PodScheduled condition, to write it only when it
	// says something new.
	scheduled *corev1.PodCondition
}

// Key is "namespace/name".
func (p *Pod) Key() string { return p.Namespace + "/" + p.Name }

type hostPort struct {
	ip, protocol string
	port         int32
}

// conflicts follows the rule that 0.0.0.0 is every address.
func (h hostPort) conflicts(o hostPort) bool {
	return h.port == o.port && h.protocol == o.protocol && (h.ip == o.ip || h.ip == anyAddress || o.ip == anyAddress)
}

const anyAddress = "0.0.0.0"

// newPod works out what is asked for again and again. A pod with terms that
// can't be read, which the API refuses, is not scheduled; where it has a node
// already it takes its room there like any other.
func newPod(p *corev1.Pod) *Pod {
	pod := &Pod{
		Namespace: p.Namespace, Name: p.Name, UID: p.UID, Labels: p.Labels, Node: p.Spec.NodeName,
		Requests: podRequests(&p.Spec), ports: hostPorts(&p.Spec), terminating: p.DeletionTimestamp != nil,
	}
	if owner := metav1.GetControllerOf(p); owner != nil {
		pod.Owner, pod.owner = owner.UID, unique.Make(owner.UID)
	}
	pod.load = pod.Requests.load()
	pod.unreadable = pod.readTerms(p)
	if pod.Node == "" {
		pod.Spec = &p.Spec
		for i := range p.Status.Conditions {
			if p.Status.Conditions[i].Type == corev1.PodScheduled {
				pod.scheduled = &p.Status.Conditions[i]
			}
		}
	}
	return pod
}

// readTerms reads what the pod asks of other pods, and of nodes where it has
// none yet.
func (pod *Pod) readTerms(p *corev1.Pod) (err error) {
	if a := p.Spec.Affinity; a != nil {
		if a.PodAffinity != nil {
			if pod.affinity, err = podTerms(p, a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution); err != nil {
				return fmt.Errorf("pod affinity: %w", err)
			}
			if err = pod.prefer(p, a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution, 1); err != nil {
				return fmt.Errorf("preferred pod affinity: %w", err)
			}
		}
		if a.PodAntiAffinity != nil {
			if pod.anti, err = podTerms(p, a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution); err != nil {
				return fmt.Errorf("pod anti-affinity: %w", err)
			}
			if err = pod.prefer(p, a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution, -1); err != nil {
				return fmt.Errorf("preferred pod anti-affinity: %w", err)
			}
		}
	}
	if pod.Node != "" {
		return nil
	}
	if pod.node, err = newNodeTerms(&p.Spec); err != nil {
		return err
	}
	pod.spread, err = spreadTerms(p)
	return err
}

func hostPorts(spec *corev1.PodSpec) []hostPort {
	var ports []hostPort
	add := func(c *corev1.Container) {
		for _, p := range c.Ports {
			if p.HostPort == 0 {
				continue
			}
			h := hostPort{ip: p.HostIP, protocol: string(p.Protocol), port: p.HostPort}
			if h.ip == "" {
				h.ip = anyAddress
			}
			if h.protocol == "" {
				h.protocol = string(corev1.ProtocolTCP)
			}
			ports = append(ports, h)
		}
	}
	for i := range spec.Containers {
		add(&spec.Containers[i])
	}
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			add(c)
		}
	}
	return ports
}

// selectorOf adds to a selector what matchLabelKeys and mismatchLabelKeys say
// of the pod's own labels.
func selectorOf(s *metav1.LabelSelector, own map[string]string, match, mismatch []string) (labels.Selector, error) {
	sel, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return nil, err
	}
	if _, selectable := sel.Requirements(); !selectable {
		return sel, nil
	}
	for _, keys := range []struct {
		names []string
		op    metav1.LabelSelectorOperator
	}{{match, metav1.LabelSelectorOpIn}, {mismatch, metav1.LabelSelectorOpNotIn}} {
		for _, key := range keys.names {
			value, ok := own[key]
			if !ok {
				continue
			}
			more, err := metav1.LabelSelectorAsSelector(&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: keys.op, Values: []string{value}}}})
			if err != nil {
				return nil, err
			}
			reqs, _ := more.Requirements()
			sel = sel.Add(reqs...)
		}
	}
	return sel, nil
}
