package housekeeping_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/housekeeping"
	"github.com/pintle-io/pintle/core/loop"
	"github.com/pintle-io/pintle/core/loop/looptest"
)

// start runs the housekeeping with short times.
func start(t *testing.T, change func(*housekeeping.Options)) *looptest.Env {
	e := looptest.New(t)
	opts := housekeeping.Options{
		API: e.API, Source: loop.NewSource(e.API, e.Log), Kinds: e.Kinds, Logger: e.Log,
		NodeGrace: 300 * time.Millisecond, GoneGrace: 50 * time.Millisecond, Sweep: 20 * time.Millisecond,
	}
	if change != nil {
		change(&opts)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- housekeeping.Run(ctx, opts) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return e
}

func configMap(name string, owners ...metav1.OwnerReference) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, OwnerReferences: owners}}
}

func ownedBy(owner runtime.Object) metav1.OwnerReference {
	cm := owner.(*corev1.ConfigMap)
	return metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: cm.Name, UID: cm.UID, BlockOwnerDeletion: ptr.To(true)}
}

func gone(e *looptest.Env, resource, namespace, name string) {
	e.T.Helper()
	looptest.Eventually(e.T, resource+"/"+name+" goes", func() (bool, string) {
		obj := e.Get(resource, namespace, name)
		return obj == nil, fmt.Sprint(obj)
	})
}

func TestDependentsGoWithTheirOwner(t *testing.T) {
	e := start(t, nil)
	owner := e.Create(configMap("owner"))
	child := e.Create(configMap("child", ownedBy(owner)))
	e.Create(configMap("grandchild", ownedBy(child)))
	e.Create(configMap("bystander"))
	e.Delete(owner, api.DeleteOptions{})
	gone(e, "configmaps", "default", "child")
	gone(e, "configmaps", "default", "grandchild")
	if e.Get("configmaps", "default", "bystander") == nil {
		t.Error("an object without owners was collected")
	}
	e.Create(configMap("late", ownedBy(owner)))
	gone(e, "configmaps", "default", "late")
}

func TestDependentWithAnotherOwnerStays(t *testing.T) {
	e := start(t, nil)
	a, b := e.Create(configMap("a")), e.Create(configMap("b"))
	e.Create(configMap("child", ownedBy(a), ownedBy(b)))
	e.Delete(a, api.DeleteOptions{})
	looptest.Eventually(t, "the reference to the owner that is gone goes", func() (bool, string) {
		refs := e.Get("configmaps", "default", "child").(*corev1.ConfigMap).OwnerReferences
		return len(refs) == 1 && refs[0].Name == "b", fmt.Sprint(refs)
	})
}

func TestOrphansStay(t *testing.T) {
	e := start(t, nil)
	owner := e.Create(configMap("owner"))
	e.Create(configMap("child", ownedBy(owner)))
	e.Delete(owner, api.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationOrphan)})
	gone(e, "configmaps", "default", "owner")
	child := e.Get("configmaps", "default", "child")
	if child == nil || len(child.(*corev1.ConfigMap).OwnerReferences) != 0 {
		t.Errorf("left %v", child)
	}
}

func TestForegroundWaitsForDependents(t *testing.T) {
	e := start(t, nil)
	owner := e.Create(configMap("owner"))
	child := configMap("child", ownedBy(owner))
	child.Finalizers = []string{"example.com/hold"}
	e.Create(child)
	e.Delete(owner, api.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationForeground)})
	looptest.Eventually(t, "the dependent is being deleted", func() (bool, string) {
		c := e.Get("configmaps", "default", "child").(*corev1.ConfigMap)
		return c.DeletionTimestamp != nil, ""
	})
	if e.Get("configmaps", "default", "owner") == nil {
		t.Fatal("the owner went before its dependent")
	}
	held := e.Get("configmaps", "default", "child").(*corev1.ConfigMap)
	held.Finalizers = nil
	e.Update(held)
	gone(e, "configmaps", "default", "child")
	gone(e, "configmaps", "default", "owner")
}

func TestNamespaceIsEmptiedAndGoes(t *testing.T) {
	e := start(t, nil)
	ns := e.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}})
	for i := range 20 {
		cm := configMap(fmt.Sprint("cm-", i))
		cm.Namespace = "team"
		e.Create(cm)
	}
	looptest.Eventually(t, "default account", func() (bool, string) {
		return e.Get("serviceaccounts", "team", "default") != nil, ""
	})
	e.Delete(ns, api.DeleteOptions{})
	gone(e, "namespaces", "", "team")
	for _, obj := range e.List("configmaps") {
		t.Errorf("left %v", obj)
	}
}

func TestDefaultAccountComesBack(t *testing.T) {
	e := start(t, nil)
	there := func() (bool, string) { return e.Get("serviceaccounts", "default", "default") != nil, "" }
	looptest.Eventually(t, "default account", there)
	e.Delete(e.Get("serviceaccounts", "default", "default"), api.DeleteOptions{})
	looptest.Eventually(t, "default account, again", there)
}

func TestOldEventsAndTokensGo(t *testing.T) {
	e := start(t, nil)
	event := func(name string, age time.Duration) *corev1.Event {
		at := metav1.NewTime(time.Now().Add(-age))
		return &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Namespace: "default", Name: name, CreationTimestamp: at},
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "p"},
			FirstTimestamp: at, LastTimestamp: at, Type: "Normal", Reason: "Tested",
		}
	}
	e.Create(event("young", time.Minute))
	token := func(name string, left time.Duration) *corev1.Secret {
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: name},
			Type:       corev1.SecretTypeBootstrapToken,
			Data: map[string][]byte{
				"token-id": []byte("abcdef"), "token-secret": []byte("0123456789abcdef"),
				"expiration": []byte(time.Now().Add(left).UTC().Format(time.RFC3339)),
			},
		}
	}
	e.Create(token("bootstrap-token-abcdef", -time.Minute))
	e.Create(token("bootstrap-token-abcdeg", time.Hour))
	gone(e, "secrets", metav1.NamespaceSystem, "bootstrap-token-abcdef")
	if e.Get("secrets", metav1.NamespaceSystem, "bootstrap-token-abcdeg") == nil {
		t.Error("a token went before its time")
	}
	if e.Get("events", "default", "young") == nil {
		t.Error("an event went before its time")
	}
}

func TestEndedPodsAboveTheNumberGo(t *testing.T) {
	e := start(t, func(o *housekeeping.Options) { o.EndedPods = 2 })
	for i := range 5 {
		pod := e.Create(newPod(fmt.Sprint("ended-", i), "", nil)).(*corev1.Pod)
		pod.Status.Phase = corev1.PodSucceeded
		e.UpdateStatus(pod)
	}
	looptest.Eventually(t, "ended pods go", func() (bool, string) {
		n := len(e.List("pods"))
		return n == 2, fmt.Sprint(n)
	})
}

func newPod(name, node string, tolerations []corev1.Toleration) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.PodSpec{
			NodeName: node, Tolerations: tolerations, TerminationGracePeriodSeconds: ptr.To[int64](0),
			Containers: []corev1.Container{{Name: "c", Image: "i"}},
		},
	}
}

func readyNode(e *looptest.Env, name string) *corev1.Node {
	node := e.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}).(*corev1.Node)
	return postReady(e, node)
}

func postReady(e *looptest.Env, node *corev1.Node) *corev1.Node {
	// The housekeeping writes to it, too.
	node.ResourceVersion = ""
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}}
	return e.UpdateStatus(node).(*corev1.Node)
}

func TestSilentNode(t *testing.T) {
	e := start(t, nil)
	readyNode(e, "n1")
	lease := e.Create(&coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: "n1"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: ptr.To("n1"), RenewTime: ptr.To(metav1.NowMicro())},
	})
	short := []corev1.Toleration{{Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr.To[int64](1)}}
	staying := []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	pod := e.Create(newPod("moves", "n1", short)).(*corev1.Pod)
	pod.ResourceVersion = ""
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
	e.UpdateStatus(pod)
	e.Create(newPod("stays", "n1", staying))

	node := func() *corev1.Node { return e.Get("nodes", "", "n1").(*corev1.Node) }
	looptest.Eventually(t, "the node is marked", func() (bool, string) {
		n := node()
		return nodeReady(n) == corev1.ConditionUnknown && tainted(n, corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute) &&
			tainted(n, corev1.TaintNodeUnreachable, corev1.TaintEffectNoSchedule), fmt.Sprint(n.Spec.Taints, n.Status.Conditions)
	})
	looptest.Eventually(t, "the pod that can't stay is being deleted", func() (bool, string) {
		obj := e.Get("pods", "default", "moves")
		if obj == nil {
			return true, ""
		}
		p := obj.(*corev1.Pod)
		return p.DeletionTimestamp != nil, fmt.Sprint(p.Status.Conditions)
	})
	if p := e.Get("pods", "default", "stays"); p == nil || p.(*corev1.Pod).DeletionTimestamp != nil {
		t.Error("a pod that tolerates the taint was deleted")
	}

	// It comes back: the lease is renewed and the agent says that it is ready.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		t := api.Target{Resource: schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}, Namespace: corev1.NamespaceNodeLease, Name: "n1"}
		for ctx.Err() == nil {
			l := lease.DeepCopyObject().(*coordinationv1.Lease)
			l.Spec.RenewTime = ptr.To(metav1.NowMicro())
			if left, err := e.API.Update(e.Admin, t, l, api.UpdateOptions{}); err == nil {
				lease = left
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	looptest.Eventually(t, "the node is back", func() (bool, string) {
		n := node()
		if nodeReady(n) != corev1.ConditionTrue {
			postReady(e, n)
		}
		return len(n.Spec.Taints) == 0 && nodeReady(n) == corev1.ConditionTrue, fmt.Sprint(n.Spec.Taints, n.Status.Conditions)
	})
}

func TestPodsOfANodeThatIsGone(t *testing.T) {
	e := start(t, nil)
	node := readyNode(e, "n1")
	e.Create(newPod("p", "n1", nil))
	e.Delete(node, api.DeleteOptions{})
	gone(e, "pods", "default", "p")
}

func nodeReady(n *corev1.Node) corev1.ConditionStatus {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status
		}
	}
	return ""
}

func tainted(n *corev1.Node, key string, effect corev1.TaintEffect) bool {
	for _, t := range n.Spec.Taints {
		if t.Key == key && t.Effect == effect {
			return true
		}
	}
	return false
}
