package conformance

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

func checkTerminating(ctx context.Context, t *Target) error {
	going := func(p *corev1.Pod) {
		now := metav1.Now()
		p.DeletionTimestamp, p.Finalizers = &now, []string{"example.com/wait"}
	}
	return place(ctx, t, []runtime.Object{aNode("a"), t.aPod("p", going)}, func(p *placing) error {
		return p.mustWait("p", "it is being deleted")
	})
}

// checkInFlight has nodes for eight pods of one core, and a window of twenty.
func checkInFlight(ctx context.Context, t *Target) error {
	const pods, room = 20, 8
	objects := []runtime.Object{aNode("a"), aNode("b")}
	for i := range pods {
		objects = append(objects, t.aPod(fmt.Sprint("p", i), cpu("1")))
	}
	return place(ctx, t, objects, func(p *placing) error {
		window := min(pods, max(1, int(p.stream.spec.GetMaxInFlight())))
		on := map[string]int{}
		for first := 0; first < pods; first += window {
			var items []*pluginv1.WorkItem
			for i := first; i < min(first+window, pods); i++ {
				items = append(items, &pluginv1.WorkItem{Key: podKey(fmt.Sprint("p", i))})
			}
			if _, err := p.stream.ask(items...); err != nil {
				return err
			}
			var decided []*pluginv1.Decision
			for range items {
				d, err := p.stream.decision()
				if err != nil {
					return err
				}
				node, err := bindingOf(d)
				if err != nil {
					return err
				}
				if node != "" {
					on[node]++
				}
				decided = append(decided, d)
			}
			for _, d := range decided {
				if err := p.settle(d); err != nil {
					return err
				}
			}
		}
		if on["a"] > room/2 || on["b"] > room/2 {
			return fmt.Errorf("nodes of 4 cores got pods of 1 core each: %v", on)
		}
		if on["a"]+on["b"] < room {
			return fmt.Errorf("nodes of 4 cores got pods of 1 core each: %v, though more waited", on)
		}
		return nil
	})
}

func checkRefusedBinding(ctx context.Context, t *Target) error {
	return place(ctx, t, []runtime.Object{aNode("a"), t.aPod("first", cpu("4")), t.aPod("second", cpu("4"))}, func(p *placing) error {
		d, err := p.ask("first")
		if err != nil {
			return err
		}
		if node, err := bindingOf(d); err != nil || node != "a" {
			return fmt.Errorf("bound to %q, not to a (%v)", node, err)
		}
		refused := &pluginv1.ActionResult{Code: 409, Reason: "Conflict", Message: "the object has been modified"}
		if err := p.tell(d, refused); err != nil {
			return err
		}
		again, err := p.stream.decide(podKey("first"), 1, refused)
		if err != nil {
			return err
		}
		if node, err := bindingOf(again); err != nil || node != "a" {
			return fmt.Errorf("after the refusal, and asked again, it was bound to %q, not to a (%v)", node, err)
		}
		if err := p.tell(again, refused); err != nil {
			return err
		}
		_, err = p.mustBind("second")
		return err
	})
}

func checkFinished(ctx context.Context, t *Target) error {
	ended := t.aPod("ended", cpu("4"), on("a"), func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })
	return place(ctx, t, []runtime.Object{aNode("a"), ended, t.aPod("p", cpu("4"))}, func(p *placing) error {
		_, err := p.mustBind("p")
		return err
	})
}

// waits asks about a pod that has no place and settles that.
func (p *placing) waits(name string) (*pluginv1.Decision, error) {
	d, err := p.ask(name)
	if err != nil {
		return nil, err
	}
	if node, err := bindingOf(d); err != nil || node != "" {
		return nil, fmt.Errorf("pod %s was bound to %q though it fits nowhere (%v)", name, node, err)
	}
	return d, p.settle(d)
}

func checkRetryOnNode(ctx context.Context, t *Target) error {
	return place(ctx, t, []runtime.Object{aNode("a"), t.aPod("p", cpu("8"))}, func(p *placing) error {
		d, err := p.waits("p")
		if err != nil {
			return err
		}
		if err := p.put(aNode("b", func(n *corev1.Node) { n.Status.Allocatable[corev1.ResourceCPU] = quantity("16") })); err != nil {
			return err
		}
		if err := p.dueAgain("p", d); err != nil {
			return err
		}
		node, err := p.mustBind("p")
		if err == nil && node != "b" {
			err = fmt.Errorf("bound to %s, which has 4 of the 8 cores", node)
		}
		return err
	})
}

func checkRetryOnDeletion(ctx context.Context, t *Target) error {
	return place(ctx, t, []runtime.Object{aNode("a"), t.aPod("old", cpu("3"), on("a")), t.aPod("p", cpu("2"))}, func(p *placing) error {
		d, err := p.waits("p")
		if err != nil {
			return err
		}
		if err := p.deletePod("old"); err != nil {
			return err
		}
		if err := p.dueAgain("p", d); err != nil {
			return err
		}
		_, err = p.mustBind("p")
		return err
	})
}

// checkRecreated lets the stream show nothing of the first pod's binding and
// deletion, as for a plugin that reads slowly.
func checkRecreated(ctx context.Context, t *Target) error {
	return place(ctx, t, []runtime.Object{aNode("a"), t.aPod("p", cpu("3"))}, func(p *placing) error {
		d, err := p.ask("p")
		if err != nil {
			return err
		}
		if err := p.apply(d); err != nil {
			return err
		}
		bound := p.revision
		before := p.pod("p").GetUID()
		delete(p.objects, objectKey{podKind, podNamespace, "p"})
		if err := p.put(t.aPod("p", cpu("3"))); err != nil {
			return err
		}
		if p.pod("p").GetUID() == before {
			return errors.New("the suite made no new pod")
		}
		if err := p.tell(d, &pluginv1.ActionResult{Name: "p", Revision: bound}); err != nil {
			return err
		}
		_, err = p.mustBind("p")
		return err
	})
}

func checkSchedulerEncodings(ctx context.Context, t *Target) error {
	objects := []runtime.Object{
		aNode("a", func(n *corev1.Node) { n.Spec.Unschedulable = true }), aNode("b"), aNode("c", labelled("disk", "ssd")),
		t.aPod("fits", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "ssd"} }), t.aPod("big", cpu("64")),
	}
	decided := func(encoding pluginv1.Encoding) (decisions []*pluginv1.Decision, err error) {
		conn, err := t.Conn(ctx)
		if err != nil {
			return nil, err
		}
		err = placeOver(ctx, t, conn, encoding, objects, func(p *placing) error {
			for _, name := range []string{"fits", "big"} {
				d, err := p.ask(name)
				if err != nil {
					return err
				}
				for _, a := range d.GetActions() {
					// It holds the time.
					if patch := a.GetPatch(); patch != nil {
						patch.Patch = nil
					}
				}
				decisions = append(decisions, d)
			}
			return nil
		})
		return decisions, err
	}
	asJSON, err := decided(pluginv1.Encoding_ENCODING_JSON)
	if err != nil {
		return err
	}
	for _, e := range t.Description().GetLoop().GetEncodings() {
		other, err := decided(e)
		if err != nil {
			return err
		}
		if err := sameDecisions(asJSON, other); err != nil {
			return fmt.Errorf("in %s: %w", e, err)
		}
	}
	return nil
}

func checkSchedulerRestart(ctx context.Context, t *Target) error {
	const room = 3
	objects := []runtime.Object{aNode("a", func(n *corev1.Node) { n.Status.Allocatable[corev1.ResourcePods] = quantity(fmt.Sprint(room)) })}
	for i := range room + 1 {
		name := fmt.Sprint("p", i)
		pods := append(objects, t.aPod(name))
		err := place(ctx, t, pods, func(p *placing) error {
			if i == room {
				return p.mustWait(name, fmt.Sprintf("its node has room for %d pods and has them", room))
			}
			_, err := p.mustBind(name)
			return err
		})
		if err != nil {
			return err
		}
		objects = append(objects, t.aPod(name, on("a")))
		if err := t.Crash(ctx); err != nil {
			return err
		}
	}
	return nil
}
