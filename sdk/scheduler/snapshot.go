package scheduler

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Snapshot is the cluster as the scheduler knows it: what the stream has shown
// and, on top, what it decided itself. It is kept change by change; a test
// compares it with one made from scratch.
type Snapshot struct {
	nodes map[string]*Node
	// order is the known nodes in the order in which they are looked at.
	order []*Node
	place map[string]int

	waiting map[string]*Pod
	placed  map[string]*Pod
	// withAnti and withTerms are the placed pods that have required
	// anti-affinity, or wishes about others: nearly always few, so that not all
	// pods have to be looked through for them.
	withAnti, withTerms map[string]*Pod

	namespaces map[string]labels.Set

	// eased changes with everything but a pod that comes: with whatever could
	// help a pod that fitted nowhere and asks nothing of other pods.
	eased uint64
}

// NewSnapshot returns an empty one.
func NewSnapshot() *Snapshot {
	return &Snapshot{
		nodes: map[string]*Node{}, place: map[string]int{},
		waiting: map[string]*Pod{}, placed: map[string]*Pod{}, namespaces: map[string]labels.Set{},
		withAnti: map[string]*Pod{}, withTerms: map[string]*Pod{},
	}
}

// Nodes that were seen, in no particular order. The slice must not be changed.
func (s *Snapshot) Nodes() []*Node { return s.order }

// Node by name, or nil.
func (s *Snapshot) Node(name string) *Node {
	if n := s.nodes[name]; n != nil && n.known {
		return n
	}
	return nil
}

// setNode returns the node and whether anything that filters look at differs.
func (s *Snapshot) setNode(node *corev1.Node) (n *Node, changed bool) {
	n = s.nodes[node.Name]
	if n == nil {
		n = newNode(node.Name)
		s.nodes[node.Name] = n
	}
	before := *n
	n.set(node)
	if !before.known {
		s.eased++
		s.place[n.Name] = len(s.order)
		s.order = append(s.order, n)
		return n, true
	}
	if changed = !sameNode(&before, n); changed {
		s.eased++
	}
	return n, changed
}

// deleteNode tells whether the node was there.
func (s *Snapshot) deleteNode(name string) bool {
	n := s.nodes[name]
	if n == nil || !n.known {
		return false
	}
	s.eased++
	n.set(&corev1.Node{})
	n.known = false
	at, last := s.place[name], len(s.order)-1
	s.order[at] = s.order[last]
	s.place[s.order[at].Name] = at
	s.order = s.order[:last]
	delete(s.place, name)
	s.dropIfUnused(n)
	return true
}

// setNamespace tells whether the namespace's labels are new.
func (s *Snapshot) setNamespace(name string, set labels.Set) bool {
	before, known := s.namespaces[name]
	s.namespaces[name] = set
	if known && labels.Equals(before, set) {
		return false
	}
	s.eased++
	return true
}

func (s *Snapshot) deleteNamespace(name string) {
	delete(s.namespaces, name)
	s.eased++
}

func (s *Snapshot) dropIfUnused(n *Node) {
	if !n.known && len(n.Pods) == 0 {
		delete(s.nodes, n.Name)
	}
}

// put places a pod on its node, in place of what was known of it.
func (s *Snapshot) put(p *Pod) {
	if before := s.takeOff(p.Key()); before != nil && !sameToOthers(before, p) {
		s.eased++
	}
	n := s.nodes[p.Node]
	if n == nil {
		n = newNode(p.Node)
		s.nodes[p.Node] = n
	}
	n.add(p)
	s.placed[p.Key()] = p
	if len(p.anti) > 0 {
		s.withAnti[p.Key()] = p
	}
	if len(p.preferred) > 0 || len(p.affinity) > 0 {
		s.withTerms[p.Key()] = p
	}
}

// drop takes a placed pod off its node and returns it, or nil.
func (s *Snapshot) drop(key string) *Pod {
	p := s.takeOff(key)
	if p != nil {
		s.eased++
	}
	return p
}

func (s *Snapshot) takeOff(key string) *Pod {
	p := s.placed[key]
	if p == nil {
		return nil
	}
	delete(s.placed, key)
	delete(s.withAnti, key)
	delete(s.withTerms, key)
	n := s.nodes[p.Node]
	n.remove(p)
	s.dropIfUnused(n)
	return p
}

// sameToOthers tells whether a placed pod leaves the same to others as before.
func sameToOthers(before, now *Pod) bool {
	return before.UID == now.UID && before.Node == now.Node && before.terminating == now.terminating &&
		labels.Equals(before.Labels, now.Labels) && sameResources(&before.Requests, &now.Requests)
}
