package housekeeping

import (
	"context"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pintle-io/pintle/sdk/controller"
)

var (
	podKind   = corev1.SchemeGroupVersion.WithKind("Pod")
	nodeKind  = corev1.SchemeGroupVersion.WithKind("Node")
	leaseKind = coordinationv1.SchemeGroupVersion.WithKind("Lease")
)

// byNode is the index of pods by the node that they are bound to.
const byNode = "node"

// nodes looks after nodes and the pods on them. The key is a node, or the name
// of one that is gone.
type nodes struct{ grace, goneGrace time.Duration }

func (n *nodes) spec() controller.Spec {
	return controller.Spec{Watches: []controller.Watch{
		{Object: &corev1.Node{}, Trigger: controller.Self, Fields: []string{"spec", "status.conditions"}},
		{
			Object: &coordinationv1.Lease{}, Trigger: controller.Mapped,
			FieldSelector: "metadata.namespace=" + corev1.NamespaceNodeLease, Fields: []string{"spec.renewTime"},
		},
		{
			Object: &corev1.Pod{}, Trigger: controller.Mapped, Reduce: reducePod,
			FieldSelector: "spec.nodeName!=",
			Fields:        []string{"spec.nodeName", "spec.tolerations", "status.phase", "status.conditions"},
			Indexes: map[string]func(runtime.Object) []string{
				byNode: func(obj runtime.Object) []string { return []string{obj.(*corev1.Pod).Spec.NodeName} },
			},
		},
	}, MaxInFlight: 32}
}

// reducePod keeps what evicting a pod and marking it unready take.
func reducePod(obj runtime.Object) {
	p := obj.(*corev1.Pod)
	p.Labels, p.Annotations, p.OwnerReferences, p.Finalizers = nil, nil, nil, nil
	var conditions []corev1.PodCondition
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			conditions = append(conditions, c)
		}
	}
	p.Status.Conditions = conditions
}

// Map makes a node due where a change could mean something to it: a lease
// renewed on a node that was taken for silent, a pod on a node that is gone or
// has taints which drive pods off.
func (n *nodes) Map(_ context.Context, change controller.Change, view controller.View) []controller.Key {
	name := ""
	switch obj := change.Object().(type) {
	case *coordinationv1.Lease:
		name = obj.Name
		node, ok := controller.Get[*corev1.Node](view, "", name)
		if !ok || (change.Old != nil && change.New != nil && !unreachable(node)) {
			return nil
		}
	case *corev1.Pod:
		if change.New == nil {
			return nil
		}
		name = obj.Spec.NodeName
		if node, ok := controller.Get[*corev1.Node](view, "", name); ok && len(evicting(node)) == 0 && !unreachable(node) {
			return nil
		}
	}
	return []controller.Key{{Kind: nodeKind.GroupKind(), Name: name}}
}

func (n *nodes) Reconcile(_ context.Context, key controller.Key, view controller.View) (controller.Decision, error) {
	var d controller.Decision
	bound := controller.ByIndex[*corev1.Pod](view, byNode, key.Name)
	node, ok := controller.Get[*corev1.Node](view, "", key.Name)
	switch {
	case !ok:
		n.removeFromGone(&d, view, key.Name, bound)
	case node.DeletionTimestamp == nil:
		silent, told := n.watchSilence(&d, view, node)
		if silent {
			markUnready(&d, bound, view.Now())
		}
		// Taints follow from the conditions: what was just told of those is in
		// the view next time.
		if !told {
			n.taint(&d, node, view.Now())
			n.evict(&d, node, bound, view.Now())
		}
	}
	d.GrowingBatches()
	return d, nil
}

// lastSign returns when the node was last heard of, by this process's clock:
// when its lease last changed, or else the node itself.
func lastSign(view controller.View, node *corev1.Node) time.Time {
	last, _ := view.Of(nodeKind).Seen("", node.Name)
	if renewed, ok := view.Of(leaseKind).Seen(corev1.NamespaceNodeLease, node.Name); ok {
		return renewed
	}
	return last
}

// removeFromGone deletes the pods of a node that is not there.
func (n *nodes) removeFromGone(d *controller.Decision, view controller.View, node string, bound []*corev1.Pod) {
	for i, pod := range bound {
		if i == batch {
			d.Requeue(time.Millisecond)
			return
		}
		seen, _ := view.Of(podKind).Seen(pod.Namespace, pod.Name)
		if wait := seen.Add(n.goneGrace).Sub(view.Now()); wait > 0 {
			// The node may be about to register.
			d.Requeue(wait)
			continue
		}
		d.Because("node %s is gone", node)
		d.Delete(pod).Grace(0)
		d.Event(pod, corev1.EventTypeNormal, "NodeGone", "Deleted because node %s does not exist", node)
	}
}
