package scheduler

import (
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
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
	owners map[unique.Handle[types.UID]]int
	// withPorts are the pods that have host ports.
	withPorts map[string]*Pod
	// load is what scores count for the pods on it.
	load load
}

func newNode(name string) *Node {
	return &Node{Name: name, Pods: map[string]*Pod{}, owners: map[unique.Handle[types.UID]]int{}, withPorts: map[string]*Pod{}}
}

// OwnedBy is how many pods of an owner are on the node.
func (n *Node) OwnedBy(p *Pod) int {
	if p.Owner == "" {
		return 0
	}
	return n.owners[p.owner]
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
	n.load.milliCPU += p.load.milliCPU
	n.load.memory += p.load.memory
	if p.Owner != "" {
		n.owners[p.owner]++
	}
	if len(p.ports) > 0 {
		n.withPorts[key] = p
	}
}

func (n *Node) remove(p *Pod) {
	key := p.Key()
	delete(n.Pods, key)
	n.Requested.subtract(&p.Requests)
	n.load.milliCPU -= p.load.milliCPU
	n.load.memory -= p.load.memory
	if p.Owner != "" {
		if n.owners[p.owner]--; n.owners[p.owner] == 0 {
			delete(n.owners, p.owner)
		}
	}
	delete(n.withPorts, key)
}
