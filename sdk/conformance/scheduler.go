package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// schedulerChecks are those of a scheduler: the Loop contract's, its own, and
// one for each thing that the API promises to every pod.
func schedulerChecks() []Check {
	checks := append(loopChecks(), []Check{
		{
			ID:       "scheduler.spec",
			Sentence: "A scheduler's keys are pods; it sees pods and nodes, and may bind pods.",
			Run:      checkSchedulerSpec,
		},
		{
			ID:       "scheduler.bind",
			Sentence: "A pod that fits is bound once, by its uid, to a node that was seen, with an event Scheduled once that was applied.",
			Run:      checkBinds,
		},
		{
			ID:       "scheduler.name",
			Sentence: "A scheduler serves the pods whose spec.schedulerName is the one that it was configured with, and leaves all others alone.",
			Run:      checkSchedulerName,
		},
		{
			ID:       "scheduler.unschedulable",
			Sentence: "A pod that fits nowhere is told why: its condition PodScheduled is False for the reason Unschedulable, with an event FailedScheduling.",
			Run:      checkUnschedulable,
		},
		{
			ID:       "scheduler.unschedulable.again",
			Sentence: "What a waiting pod's condition says already is not written again.",
			Run:      checkUnschedulableAgain,
		},
		{
			ID:       "scheduler.gates",
			Sentence: "A pod with scheduling gates is not bound before the last of them is gone.",
			Run:      checkGates,
		},
		{
			ID:       "scheduler.terminating",
			Sentence: "A pod that is being deleted is not bound.",
			Run:      checkTerminating,
		},
		{
			ID:       "scheduler.inflight",
			Sentence: "A pod that was decided counts on its node before its binding is seen: a full window of work puts no more on a node than fits.",
			Run:      checkInFlight,
		},
		{
			ID:       "scheduler.refused",
			Sentence: "A binding that was refused is taken back: its room is there for others, and the pod is decided anew when asked for.",
			Run:      checkRefusedBinding,
		},
		{
			ID:       "scheduler.finished",
			Sentence: "A pod that ended takes no room.",
			Run:      checkFinished,
		},
		{
			ID:       "scheduler.retry.node",
			Sentence: "A pod that fits nowhere is due again when a node comes that it fits on.",
			Run:      checkRetryOnNode,
		},
		{
			ID:       "scheduler.retry.deletion",
			Sentence: "A pod that fits nowhere is due again when a pod leaves that was in its way.",
			Run:      checkRetryOnDeletion,
		},
		{
			ID:       "scheduler.recreated",
			Sentence: "A pod that was bound, deleted and made again under its name is a new pod.",
			Run:      checkRecreated,
		},
		{
			ID:       "scheduler.encodings",
			Sentence: "The encoding of objects makes no difference to what is decided.",
			Run:      checkSchedulerEncodings,
		},
		{
			ID:       "scheduler.restart",
			Sentence: "A scheduler keeps nothing: killed between any two decisions, the next process fills nodes just as far.",
			Run:      checkSchedulerRestart,
		},
	}...)
	for _, rule := range placementRules() {
		checks = append(checks, rule.check())
	}
	return checks
}

var podKind = corev1.SchemeGroupVersion.WithKind("Pod")

// placing is a world that a scheduler works on over one stream.
type placing struct {
	*World
	stream   *loopStream
	encoding pluginv1.Encoding
}

// place shows objects to the scheduler on a new stream and calls f.
func place(ctx context.Context, t *Target, objects []runtime.Object, f func(*placing) error) error {
	conn, err := t.Conn(ctx)
	if err != nil {
		return err
	}
	return placeOver(ctx, t, conn, pluginv1.Encoding_ENCODING_JSON, objects, f)
}

func placeOver(ctx context.Context, t *Target, conn grpc.ClientConnInterface, encoding pluginv1.Encoding, objects []runtime.Object, f func(*placing) error) error {
	w, err := newWorld(t.Description().GetLoop())
	if err != nil {
		return err
	}
	s, err := openLoopOver(ctx, conn, t.Description().GetLoop(), encoding)
	if err != nil {
		return err
	}
	defer s.close()
	p := &placing{World: w, stream: s, encoding: encoding}
	if err := p.put(objects...); err != nil {
		return err
	}
	return f(p)
}

// put sets objects and shows them.
func (p *placing) put(objects ...runtime.Object) error {
	for _, obj := range objects {
		if err := p.Put(obj); err != nil {
			return err
		}
	}
	return p.show(p.stream, p.encoding)
}

// deletePod takes a pod away, and shows that.
func (p *placing) deletePod(name string) error {
	err := p.remove(&pluginv1.ObjectRef{Kind: &pluginv1.GroupVersionKind{Version: "v1", Kind: "Pod"}, Namespace: podNamespace, Name: name})
	if err != nil {
		return err
	}
	return p.show(p.stream, p.encoding)
}

func podKey(name string) *pluginv1.Key { return &pluginv1.Key{Namespace: podNamespace, Name: name} }

// pod returns a pod as it is in the world.
func (p *placing) pod(name string) *unstructured.Unstructured {
	return p.objects[objectKey{podKind, podNamespace, name}]
}

// ask returns the decision about a pod and applies nothing of it.
func (p *placing) ask(name string) (*pluginv1.Decision, error) {
	return p.stream.decide(podKey(name), 0)
}

// settle applies a decision and tells the outcome, in the order of the core:
// what changed, then what became of the decision.
func (p *placing) settle(d *pluginv1.Decision) error {
	if err := p.apply(d); err != nil {
		return fmt.Errorf("decision about %s: %w", keyText(d.GetKey()), err)
	}
	if err := p.show(p.stream, p.encoding); err != nil {
		return err
	}
	var results []*pluginv1.ActionResult
	for range d.GetActions() {
		results = append(results, &pluginv1.ActionResult{Name: d.GetKey().GetName(), Revision: p.revision})
	}
	return p.tell(d, results...)
}

// tell sends the outcome of a decision.
func (p *placing) tell(d *pluginv1.Decision, results ...*pluginv1.ActionResult) error {
	outcome := &pluginv1.Outcome{WorkId: d.GetWorkId(), Key: d.GetKey(), Results: results}
	return p.stream.send(&pluginv1.Observation{Observation: &pluginv1.Observation_Outcomes{
		Outcomes: &pluginv1.Outcomes{Outcomes: []*pluginv1.Outcome{outcome}},
	}})
}

// decideNode asks about a pod, applies the decision and returns the node that
// it was bound to, or "" with the reason.
func (p *placing) decideNode(name string) (node, reason string, err error) {
	d, err := p.ask(name)
	if err != nil {
		return "", "", err
	}
	node, err = bindingOf(d)
	if err != nil {
		return "", "", err
	}
	return node, d.GetReason(), p.settle(d)
}

// mustBind is decideNode for a pod that has a place.
func (p *placing) mustBind(name string) (string, error) {
	node, reason, err := p.decideNode(name)
	if err == nil && node == "" {
		err = fmt.Errorf("pod %s was not bound though there is a node for it; the reason given is %q", name, reason)
	}
	return node, err
}

// mustWait is decideNode for a pod that has none.
func (p *placing) mustWait(name, because string) error {
	node, _, err := p.decideNode(name)
	if err == nil && node != "" {
		err = fmt.Errorf("pod %s was bound to %s though %s", name, node, because)
	}
	return err
}

// bindingOf returns the node of a decision's binding, "" where it has none.
func bindingOf(d *pluginv1.Decision) (string, error) {
	node := ""
	for _, action := range d.GetActions() {
		b := action.GetBind()
		if b == nil {
			continue
		}
		pod := b.GetPod()
		switch {
		case node != "":
			return "", fmt.Errorf("%s is bound twice in one decision", keyText(d.GetKey()))
		case b.GetNode() == "":
			return "", fmt.Errorf("%s is bound to no node", keyText(d.GetKey()))
		case d.GetError() != nil:
			return "", errors.New("a decision with an error binds a pod: nothing of it would be applied")
		case d.GetKey() != nil && (pod.GetName() != d.GetKey().GetName() || pod.GetNamespace() != d.GetKey().GetNamespace()):
			return "", fmt.Errorf("work on %s binds another pod, %s/%s", keyText(d.GetKey()), pod.GetNamespace(), pod.GetName())
		}
		node = b.GetNode()
	}
	return node, nil
}

// dueAgain waits until the scheduler enqueues a pod. One that asked to be asked
// again by the clock or for an error is due without that.
func (p *placing) dueAgain(name string, before *pluginv1.Decision) error {
	if before.GetRequeueAfter() != nil || before.GetError() != nil && !before.GetError().GetTerminal() {
		return nil
	}
	wanted := func(k *pluginv1.Key) bool { return k.GetNamespace() == podNamespace && k.GetName() == name }
	for !slices.ContainsFunc(p.stream.enqueued, wanted) {
		d, err := p.stream.recv(decisionTimeout)
		if err != nil {
			return fmt.Errorf("pod %s was not enqueued: %w", name, err)
		}
		p.stream.enqueued = append(p.stream.enqueued, d.GetEnqueue()...)
	}
	p.stream.enqueued = nil
	return nil
}

func checkSchedulerSpec(ctx context.Context, t *Target) error {
	if err := checkPermissions(ctx, t); err != nil {
		return err
	}
	loop := t.Description().GetLoop()
	if kindOf(loop.GetKeyKind()) != podKind {
		return fmt.Errorf("its keys are of kind %s", loop.GetKeyKind().GetKind())
	}
	for _, kind := range []string{"Pod", "Node"} {
		if !slices.ContainsFunc(loop.GetWatches(), func(w *pluginv1.Watch) bool { return w.GetKind().GetKind() == kind }) {
			return fmt.Errorf("it does not watch kind %s", kind)
		}
	}
	binds := func(p *pluginv1.Permission) bool {
		return (slices.Contains(p.GetResources(), "pods/binding") || slices.Contains(p.GetResources(), "*")) &&
			(slices.Contains(p.GetVerbs(), "create") || slices.Contains(p.GetVerbs(), "*"))
	}
	if !slices.ContainsFunc(t.Description().GetPermissions(), binds) {
		return errors.New("no permission to create pods/binding is declared")
	}
	return nil
}

func checkBinds(ctx context.Context, t *Target) error {
	return place(ctx, t, []runtime.Object{aNode("a"), aNode("b"), t.aPod("p")}, func(p *placing) error {
		d, err := p.ask("p")
		if err != nil {
			return err
		}
		node, err := bindingOf(d)
		switch {
		case err != nil:
			return err
		case node != "a" && node != "b":
			return fmt.Errorf("it was bound to %q; there are a and b, and the reason given is %q", node, d.GetReason())
		case d.GetReason() == "":
			return errors.New("the decision has no reason")
		}
		for _, action := range d.GetActions() {
			if b := action.GetBind(); b != nil {
				if b.GetPod().GetUid() != string(p.pod("p").GetUID()) {
					return fmt.Errorf("the binding is for uid %q, not %q: a pod made anew under the name would be bound", b.GetPod().GetUid(), p.pod("p").GetUID())
				}
				if e := action.GetOnSuccess(); e.GetReason() != "Scheduled" || !strings.Contains(e.GetMessage(), node) {
					return fmt.Errorf("once applied, it says %q %q, and not Scheduled with the node", e.GetReason(), e.GetMessage())
				}
			}
		}
		if err := p.settle(d); err != nil {
			return err
		}
		d, err = p.ask("p")
		if err == nil && len(d.GetActions()) > 0 {
			err = fmt.Errorf("asked about a pod that has its node, it wants %v", d.GetActions())
		}
		return err
	})
}

func checkSchedulerName(ctx context.Context, t *Target) error {
	const other = "somebody-elses"
	foreign := t.aPod("foreign", func(p *corev1.Pod) { p.Spec.SchedulerName = other })
	objects := []runtime.Object{aNode("a"), foreign}
	err := place(ctx, t, objects, func(p *placing) error {
		d, err := p.ask("foreign")
		if err == nil && len(d.GetActions()) > 0 {
			err = fmt.Errorf("a pod of scheduler %q is acted on: %v", other, d.GetActions())
		}
		return err
	})
	if err != nil {
		return err
	}
	proc, err := t.Launch(ctx)
	if err != nil {
		return err
	}
	defer proc.Kill()
	req, err := t.configureRequest()
	if err != nil {
		return err
	}
	req.SchedulerName = other
	if _, err := proc.Plugin().Configure(ctx, req); err != nil {
		return fmt.Errorf("Configure with scheduler_name %q: %w", other, err)
	}
	return placeOver(ctx, t, proc.Conn(), pluginv1.Encoding_ENCODING_JSON, objects, func(p *placing) error {
		_, err := p.mustBind("foreign")
		return err
	})
}

func checkUnschedulable(ctx context.Context, t *Target) error {
	return place(ctx, t, []runtime.Object{aNode("a"), aNode("b"), t.aPod("big", cpu("64"))}, func(p *placing) error {
		d, err := p.ask("big")
		if err != nil {
			return err
		}
		told := func(a *pluginv1.Action) bool {
			return a.GetEvent().GetReason() == "FailedScheduling" && a.GetEvent().GetMessage() != ""
		}
		if !slices.ContainsFunc(d.GetActions(), told) {
			return fmt.Errorf("no event FailedScheduling with a message is among the actions %v", d.GetActions())
		}
		if node, err := bindingOf(d); err != nil || node != "" {
			return fmt.Errorf("a pod that asks for 64 cores of nodes with 4 was bound to %q (%v)", node, err)
		}
		if err := p.settle(d); err != nil {
			return err
		}
		condition, err := scheduledCondition(p.pod("big"))
		if err != nil {
			return err
		}
		if condition.Status != corev1.ConditionFalse || condition.Reason != corev1.PodReasonUnschedulable || condition.Message == "" {
			return fmt.Errorf("its condition PodScheduled is %+v", condition)
		}
		return nil
	})
}

func scheduledCondition(u *unstructured.Unstructured) (*corev1.PodCondition, error) {
	var pod corev1.Pod
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &pod); err != nil {
		return nil, err
	}
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == corev1.PodScheduled {
			return &pod.Status.Conditions[i], nil
		}
	}
	return nil, errors.New("the pod has no condition PodScheduled")
}

func checkUnschedulableAgain(ctx context.Context, t *Target) error {
	return place(ctx, t, []runtime.Object{aNode("a"), t.aPod("big", cpu("64"))}, func(p *placing) error {
		if _, _, err := p.decideNode("big"); err != nil {
			return err
		}
		d, err := p.ask("big")
		if err == nil && len(d.GetActions()) > 0 {
			err = fmt.Errorf("asked again, with nothing changed, it wants %v", d.GetActions())
		}
		return err
	})
}

func checkGates(ctx context.Context, t *Target) error {
	gated := func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/quota"}} }
	return place(ctx, t, []runtime.Object{aNode("a"), t.aPod("p", gated)}, func(p *placing) error {
		if err := p.mustWait("p", "it has a scheduling gate"); err != nil {
			return err
		}
		if err := p.put(t.aPod("p")); err != nil {
			return err
		}
		_, err := p.mustBind("p")
		return err
	})
}
