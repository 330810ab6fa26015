package scheduler

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

type discard struct{ last *pluginv1.Decision }

func (d *discard) Send(x *pluginv1.Decision) error { d.last = x; return nil }

// BenchmarkPod is all that a pod costs a scheduler but the wire: it is shown,
// decided, and shown bound.
func BenchmarkPod(b *testing.B) {
	out := &discard{}
	h := newHandler(Profile{Scores: append(Wishes(), Weighted{OwnerSpread{}, 2}, Weighted{LeastAllocated{}, 1}, Weighted{BalancedAllocation{}, 1})}, corev1.DefaultSchedulerName, out)
	for i := range 5000 {
		h.view.setNode(testNode(fmt.Sprintf("n%d", i), "32", 250))
	}
	revision := uint64(0)
	show := func(changes ...*pluginv1.Change) {
		revision++
		if err := h.Changes(&pluginv1.Changes{Changes: changes, Revision: revision, Synced: true}); err != nil {
			b.Fatal(err)
		}
	}
	i := 0
	for b.Loop() {
		i++
		name := fmt.Sprintf("p%d", i)
		show(setChange(b, watchWaiting, testPod(name, "1m", owned("rc"))))
		key := &pluginv1.Key{Namespace: "default", Name: name}
		if err := h.Work(b.Context(), []*pluginv1.WorkItem{{Id: uint64(i), Key: key}}); err != nil {
			b.Fatal(err)
		}
		node := out.last.GetActions()[0].GetBind().GetNode()
		show(setChange(b, watchPlaced, testPod(name, "1m", owned("rc"), on(node))),
			&pluginv1.Change{Type: pluginv1.Change_TYPE_DELETED, Watch: watchWaiting, Namespace: "default", Name: name})
	}
}
