package api_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pintle-io/pintle/core/api"
)

func TestDeleteWithoutFinalizersIsAtOnce(t *testing.T) {
	c := newCluster(t)
	must[any](t)(c.Create(c.ctx, in(configMaps, ""), newConfigMap("a"), api.CreateOptions{}))
	if _, gone, err := c.Delete(c.ctx, in(configMaps, "a"), api.DeleteOptions{}); err != nil || !gone {
		t.Fatalf("gone %v, %v", gone, err)
	}
	if _, err := c.Get(c.ctx, in(configMaps, "a"), api.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
}

func TestDeleteWaitsForFinalizers(t *testing.T) {
	c := newCluster(t)
	cm := newConfigMap("a")
	cm.Finalizers = []string{"example.com/one", "example.com/two"}
	must[any](t)(c.Create(c.ctx, in(configMaps, ""), cm, api.CreateOptions{}))
	obj, gone, err := c.Delete(c.ctx, in(configMaps, "a"), api.DeleteOptions{})
	if err != nil || gone {
		t.Fatalf("gone %v, %v", gone, err)
	}
	marked := obj.(*corev1.ConfigMap)
	if marked.DeletionTimestamp == nil || *marked.DeletionGracePeriodSeconds != 0 {
		t.Fatalf("not marked: %+v", marked.ObjectMeta)
	}
	added := marked.DeepCopy()
	added.Finalizers = append(added.Finalizers, "example.com/three")
	if _, err := c.Update(c.ctx, in(configMaps, "a"), added, api.UpdateOptions{}); !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) {
		t.Errorf("a finalizer was added to an object that goes away: %v", err)
	}
	marked = marked.DeepCopy()
	marked.Finalizers = marked.Finalizers[:1]
	left := must[any](t)(c.Update(c.ctx, in(configMaps, "a"), marked, api.UpdateOptions{})).(*corev1.ConfigMap)
	left = left.DeepCopy()
	left.Finalizers = nil
	must[any](t)(c.Update(c.ctx, in(configMaps, "a"), left, api.UpdateOptions{}))
	if _, err := c.Get(c.ctx, in(configMaps, "a"), api.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the last finalizer is off and the object is still there: %v", err)
	}
}

func TestDeletePreconditions(t *testing.T) {
	c := newCluster(t)
	cm := must[any](t)(c.Create(c.ctx, in(configMaps, ""), newConfigMap("a"), api.CreateOptions{})).(*corev1.ConfigMap)
	other, old := types.UID("other"), "1"
	for _, p := range []metav1.Preconditions{{UID: &other}, {ResourceVersion: &old}} {
		if _, _, err := c.Delete(c.ctx, in(configMaps, "a"), api.DeleteOptions{Preconditions: &p}); !apierrors.IsConflict(err) {
			t.Errorf("got %v", err)
		}
	}
	right := metav1.Preconditions{UID: &cm.UID, ResourceVersion: &cm.ResourceVersion}
	if _, gone, err := c.Delete(c.ctx, in(configMaps, "a"), api.DeleteOptions{Preconditions: &right}); err != nil || !gone {
		t.Errorf("gone %v, %v", gone, err)
	}
}

func TestPropagationPolicyBecomesFinalizer(t *testing.T) {
	c := newCluster(t)
	tests := []struct {
		policy    metav1.DeletionPropagation
		finalizer string
	}{
		{metav1.DeletePropagationForeground, metav1.FinalizerDeleteDependents},
		{metav1.DeletePropagationOrphan, metav1.FinalizerOrphanDependents},
		{metav1.DeletePropagationBackground, ""},
	}
	for _, tt := range tests {
		must[any](t)(c.Create(c.ctx, in(configMaps, ""), newConfigMap("a"), api.CreateOptions{}))
		obj, gone, err := c.Delete(c.ctx, in(configMaps, "a"), api.DeleteOptions{PropagationPolicy: &tt.policy})
		if err != nil || gone != (tt.finalizer == "") {
			t.Fatalf("%s: gone %v, %v", tt.policy, gone, err)
		}
		if gone {
			continue
		}
		cm := obj.(*corev1.ConfigMap).DeepCopy()
		if len(cm.Finalizers) != 1 || cm.Finalizers[0] != tt.finalizer || cm.DeletionTimestamp == nil {
			t.Errorf("%s: %+v", tt.policy, cm.ObjectMeta)
		}
		cm.Finalizers = nil
		must[any](t)(c.Update(c.ctx, in(configMaps, "a"), cm, api.UpdateOptions{}))
	}
}

func TestPodDeletion(t *testing.T) {
	c := newCluster(t)
	seconds := func(n int64) api.DeleteOptions { return api.DeleteOptions{GracePeriodSeconds: &n} }

	c.createPod("unscheduled")
	if _, gone, err := c.Delete(c.ctx, in(pods, "unscheduled"), api.DeleteOptions{}); err != nil || !gone {
		t.Errorf("unscheduled: gone %v, %v", gone, err)
	}

	c.bound("web", "n1")
	obj, gone, err := c.Delete(c.ctx, in(pods, "web"), api.DeleteOptions{})
	if err != nil || gone {
		t.Fatalf("bound: gone %v, %v", gone, err)
	}
	pod := obj.(*corev1.Pod)
	if pod.DeletionTimestamp == nil || *pod.DeletionGracePeriodSeconds != 30 {
		t.Errorf("marked: %+v", pod.ObjectMeta)
	}
	obj, gone, err = c.Delete(c.ctx, in(pods, "web"), seconds(60))
	if err != nil || gone || *obj.(*corev1.Pod).DeletionGracePeriodSeconds != 30 {
		t.Errorf("a longer period: gone %v, %v, %+v", gone, err, obj)
	}
	obj, gone, err = c.Delete(c.ctx, in(pods, "web"), seconds(5))
	if err != nil || gone || *obj.(*corev1.Pod).DeletionGracePeriodSeconds != 5 {
		t.Errorf("a shorter period: gone %v, %v, %+v", gone, err, obj)
	}
	if _, gone, err = c.Delete(c.ctx, in(pods, "web"), seconds(0)); err != nil || !gone {
		t.Errorf("no period: gone %v, %v", gone, err)
	}
}

func TestEviction(t *testing.T) {
	c := newCluster(t)
	c.bound("web", "n1")
	if err := c.Evict(c.ctx, "default", &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, api.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod := c.pod("web")
	if pod.DeletionTimestamp == nil {
		t.Error("the pod does not go away")
	}
	why := ""
	for _, cond := range pod.Status.Conditions {
		if cond.Type == corev1.DisruptionTarget {
			why = cond.Reason
		}
	}
	if why != "EvictionByEvictionAPI" {
		t.Errorf("conditions %+v", pod.Status.Conditions)
	}
}

func TestBinding(t *testing.T) {
	c := newCluster(t)
	pod := c.bound("web", "n1")
	if pod.Spec.NodeName != "n1" {
		t.Fatalf("nodeName %q", pod.Spec.NodeName)
	}
	binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Target: corev1.ObjectReference{Kind: "Node", Name: "n2"}}
	err := c.Bind(c.ctx, "default", binding, api.CreateOptions{})
	if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `pod web is already assigned to node "n1"`) {
		t.Errorf("second binding: %v", err)
	}
	c.createPod("other")
	wrong := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "other", UID: "x"}, Target: corev1.ObjectReference{Name: "n1"}}
	if err := c.Bind(c.ctx, "default", wrong, api.CreateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("binding of another pod of this name: %v", err)
	}
	if err := c.Bind(c.ctx, "default", &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "other"}}, api.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("binding to nothing: %v", err)
	}
}

func TestNamespaceLifecycle(t *testing.T) {
	c := newCluster(t)
	must[any](t)(c.Create(c.ctx, api.Target{Resource: namespaces}, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}}, api.CreateOptions{}))
	team := api.Target{Resource: namespaces, Name: "team"}
	obj, gone, err := c.Delete(c.ctx, team, api.DeleteOptions{})
	if err != nil || gone {
		t.Fatalf("gone %v, %v", gone, err)
	}
	ns := obj.(*corev1.Namespace)
	if ns.Status.Phase != corev1.NamespaceTerminating || ns.DeletionTimestamp == nil {
		t.Errorf("got %+v", ns)
	}
	_, err = c.Create(c.ctx, api.Target{Resource: configMaps, Namespace: "team"}, newConfigMap("a"), api.CreateOptions{})
	if !apierrors.IsForbidden(err) || !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		t.Errorf("create in a terminating namespace: %v", err)
	}
	finalize := team
	finalize.Subresource = "finalize"
	ns = ns.DeepCopy()
	ns.Spec.Finalizers = nil
	must[any](t)(c.Update(c.ctx, finalize, ns, api.UpdateOptions{}))
	if _, err := c.Get(c.ctx, team, api.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after finalize: %v", err)
	}
	if _, _, err := c.Delete(c.ctx, api.Target{Resource: namespaces, Name: "default"}, api.DeleteOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("deletion of default: %v", err)
	}
}

func TestDeleteCollection(t *testing.T) {
	c := newCluster(t)
	for _, name := range []string{"a", "b", "c"} {
		cm := newConfigMap(name)
		cm.Labels = map[string]string{"keep": map[bool]string{true: "yes", false: "no"}[name == "b"]}
		must[any](t)(c.Create(c.ctx, in(configMaps, ""), cm, api.CreateOptions{}))
	}
	list, err := c.DeleteCollection(c.ctx, in(configMaps, ""), api.DeleteOptions{}, api.ListOptions{LabelSelector: "keep=no"})
	if err != nil || len(list.Items) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	left, err := c.List(c.ctx, in(configMaps, ""), api.ListOptions{})
	if err != nil || len(left.Items) != 1 {
		t.Errorf("left %v, %v", left, err)
	}
}
