package scheduler

import (
	corev1 "k8s.io/api/core/v1"
)

// Node is a node with the pods on it.
type Node struct {
	Name          string
	Labels        map[string]string
	Taints        []corev1.Taint
	Unschedulable bool
	// Allocatable is what pods may have in all, MaxPods how many there may be.
	Allocatable Resources
	MaxPods     int64
	// Requested is what the pods on it asked for, those decided and not bound
	// yet included.
	Requested Resources
	Pods      map[string]*Pod

	// known is false while pods name a node that was not seen.
	known bool
	// owners counts pods by their owner.
	owners map[string]int
	// withPorts, withAnti and withPreferred are the pods that have host ports or
	// terms about other pods.
	withPorts, withAnti, withPreferred map[string]*Pod
}

func newNode(name string) *Node {
	return &Node{
		Name: name, Pods: map[string]*Pod{}, owners: map[string]int{},
		withPorts: map[string]*Pod{}, withAnti: map[string]*Pod{}, withPreferred: map[string]*Pod{},
	}
}

// OwnedBy is how many pods of an owner are on the node.
func (n *Node) OwnedBy(p *Pod) int {
	if p.Owner == "" {
		return 0
	}
	return n.owners[string(p.Owner)]
}

func (n *Node) set(node *corev1.Node) {
	n.known = true
	n.Labels, n.Taints, n.Unschedulable = node.Labels, node.Spec.Taints, node.Spec.Unschedulable
	n.Allocatable = ResourcesOf(node.Status.Allocatable)
	n.MaxPods = 0
	if q, ok := node.Status.Allocatable[corev1.ResourcePods]; ok {
		n.MaxPods = q.Value()
	}
}

func (n *Node) add(p *Pod) {
	key := p.Key()
	n.Pods[key] = p
	n.Requested.add(&p.Requests)
	if p.Owner != "" {
		n.owners[string(p.Owner)]++
	}
	if len(p.ports) > 0 {
		n.withPorts[key] = p
	}
	if len(p.anti) > 0 {
		n.withAnti[key] = p
	}
	if len(p.preferred) > 0 || len(p.affinity) > 0 {
		n.withPreferred[key] = p
	}
}

func (n *Node) remove(p *Pod) {
	key := p.Key()
	delete(n.Pods, key)
	n.Requested.subtract(&p.Requests)
	if p.Owner != "" {
		if n.owners[string(p.Owner)]--; n.owners[string(p.Owner)] == 0 {
			delete(n.owners, string(p.Owner))
		}
	}
	delete(n.withPorts, key)
	delete(n.withAnti, key)
	delete(n.withPreferred, key)
}
