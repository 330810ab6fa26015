package api_test

import (
	"context"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/auth"
	pintlev1 "github.com/pintle-io/pintle/sdk/api/v1"
)

func (c *cluster) as(u auth.User) context.Context { return auth.WithUser(c.ctx, u) }

func TestForbiddenSaysWhoAndWhat(t *testing.T) {
	c := newCluster(t)
	_, err := c.List(c.as(auth.User{Name: "jane"}), in(pods, ""), api.ListOptions{})
	want := `pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"`
	if !apierrors.IsForbidden(err) || err.Error() != want {
		t.Errorf("got %v", err)
	}
	_, err = c.Get(c.as(auth.User{Name: "jane"}), api.Target{Resource: nodes, Name: "n1"}, api.GetOptions{})
	if want := `nodes "n1" is forbidden: User "jane" cannot get resource "nodes" in API group "" at the cluster scope`; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if _, err := c.Get(context.Background(), in(pods, "x"), api.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("no user: %v", err)
	}
}

// A node reads what its pods refer to from the moment of the binding on, and
// soon after the pod is gone no longer.
func TestNodeReadsWhatItsPodsNeed(t *testing.T) {
	c := newCluster(t)
	n1, n2 := c.as(auth.Node("n1")), c.as(auth.Node("n2"))
	for _, name := range []string{"needed", "other"} {
		must[any](t)(c.Create(c.ctx, in(secrets, ""), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}}, api.CreateOptions{}))
	}
	must[any](t)(c.Create(c.ctx, api.Target{Resource: nodes}, newNode("n1"), api.CreateOptions{}))
	pod := newPod("web")
	pod.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "needed"}}}}
	must[any](t)(c.Create(c.ctx, in(pods, ""), pod, api.CreateOptions{}))
	if _, err := c.Get(n1, in(secrets, "needed"), api.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("before the binding: %v", err)
	}
	bind := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Target: corev1.ObjectReference{Name: "n1"}}
	if err := c.Bind(c.ctx, "default", bind, api.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(n1, in(secrets, "needed"), api.GetOptions{}); err != nil {
		t.Errorf("after the binding: %v", err)
	}
	if _, err := c.Get(n1, in(secrets, "other"), api.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a secret of nobody: %v", err)
	}
	for selector, allowed := range map[string]bool{"metadata.name=needed": true, "metadata.name=other": false, "metadata.name!=other": false, "": false} {
		w, err := c.Watch(n1, in(secrets, ""), api.WatchOptions{FieldSelector: selector})
		if err == nil {
			w.Stop()
		}
		if (err == nil) != allowed || !allowed && !apierrors.IsForbidden(err) {
			t.Errorf("watching secrets with %q: %v", selector, err)
		}
	}
	if _, err := c.Get(n2, in(secrets, "needed"), api.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("another node: %v", err)
	}
	if _, _, err := c.Delete(n2, in(pods, "web"), api.DeleteOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("another node deletes the pod: %v", err)
	}
	zero := int64(0)
	if _, gone, err := c.Delete(n1, in(pods, "web"), api.DeleteOptions{GracePeriodSeconds: &zero}); err != nil || !gone {
		t.Errorf("the node completes the deletion: %v, %v", gone, err)
	}
	eventually(t, "the secret stays readable after the pod is gone", func() bool {
		_, err := c.Get(n1, in(secrets, "needed"), api.GetOptions{})
		return apierrors.IsForbidden(err)
	})
}

func TestNodeRestriction(t *testing.T) {
	c := newCluster(t)
	n1 := c.as(auth.Node("n1"))
	if _, err := c.Create(n1, api.Target{Resource: nodes}, newNode("n2"), api.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("another node: %v", err)
	}
	labelled := newNode("n1")
	labelled.Labels = map[string]string{corev1.LabelHostname: "n1", "disk": "ssd"}
	created := must[any](t)(c.Create(n1, api.Target{Resource: nodes}, labelled, api.CreateOptions{})).(*corev1.Node)
	self := api.Target{Resource: nodes, Name: "n1"}
	tests := []struct {
		name   string
		change func(*corev1.Node)
	}{
		{"taints", func(n *corev1.Node) {
			n.Spec.Taints = []corev1.Taint{{Key: "a", Effect: corev1.TaintEffectNoSchedule}}
		}},
		{"a role", func(n *corev1.Node) { n.Labels["node-role.kubernetes.io/control-plane"] = "" }},
		{"a restricted label", func(n *corev1.Node) { n.Labels["node-restriction.kubernetes.io/x"] = "y" }},
	}
	for _, tt := range tests {
		node := created.DeepCopy()
		tt.change(node)
		if _, err := c.Update(n1, self, node, api.UpdateOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	node := created.DeepCopy()
	node.Labels["disk"] = "hdd"
	must[any](t)(c.Update(n1, self, node, api.UpdateOptions{}))
	leases := schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}
	lease := func(name string) *coordinationv1.Lease {
		return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	target := api.Target{Resource: leases, Namespace: auth.NodeLeases}
	if _, err := c.Create(n1, target, lease("n2"), api.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("another's lease: %v", err)
	}
	must[any](t)(c.Create(n1, target, lease("n1"), api.CreateOptions{}))
}

func TestNodeReportsOnItsPluginsOnly(t *testing.T) {
	c := newCluster(t)
	plugins := schema.GroupResource{Group: "pintle.io", Resource: "plugins"}
	n1 := c.as(auth.Node("n1"))
	report := func(plugin, node string) error {
		obj, err := c.Get(c.ctx, api.Target{Resource: plugins, Name: plugin}, api.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p := obj.(*pintlev1.Plugin)
		p.Status.Nodes = append(p.Status.Nodes, pintlev1.PluginNodeStatus{Node: node})
		_, err = c.Update(n1, api.Target{Resource: plugins, Name: plugin, Subresource: "status"}, p, api.UpdateOptions{})
		return err
	}
	for name, typ := range map[string]pintlev1.PluginType{"nfs": pintlev1.VolumePlugin, "spread": pintlev1.SchedulerPlugin} {
		plugin := &pintlev1.Plugin{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: pintlev1.PluginSpec{Type: typ}}
		must[any](t)(c.Create(c.ctx, api.Target{Resource: plugins}, plugin, api.CreateOptions{}))
	}
	if err := report("nfs", "n1"); err != nil {
		t.Errorf("its own line: %v", err)
	}
	if err := report("nfs", "n2"); !apierrors.IsForbidden(err) {
		t.Errorf("another's line: %v", err)
	}
	if err := report("spread", "n1"); !apierrors.IsForbidden(err) {
		t.Errorf("a scheduler: %v", err)
	}
}

func TestPluginIsHeldToItsPermissions(t *testing.T) {
	c := newCluster(t)
	plugins := schema.GroupResource{Group: "pintle.io", Resource: "plugins"}
	me := c.as(auth.Plugin("controller", "replication"))
	if _, err := c.Create(me, in(pods, ""), newPod("a"), api.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("unknown plugin: %v", err)
	}
	plugin := &pintlev1.Plugin{
		ObjectMeta: metav1.ObjectMeta{Name: "replication"},
		Spec: pintlev1.PluginSpec{
			Type: pintlev1.ControllerPlugin,
			Permissions: []pintlev1.PluginPermission{{
				Resources: []string{"pods"}, Verbs: []string{"create"},
			}},
		},
	}
	must[any](t)(c.Create(c.ctx, api.Target{Resource: plugins}, plugin, api.CreateOptions{}))
	must[any](t)(c.Create(me, in(pods, ""), newPod("a"), api.CreateOptions{}))
	_, _, err := c.Delete(me, in(pods, "a"), api.DeleteOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "was not granted it") {
		t.Errorf("a verb that was not granted: %v", err)
	}
	obj, _, err := c.Patch(c.ctx, api.Target{Resource: plugins, Name: "replication"}, types.MergePatchType,
		[]byte(`{"spec":{"permissions":[{"apiGroup":"","resources":["pods"],"verbs":["delete"]}]}}`), api.PatchOptions{})
	if err != nil {
		t.Fatal(obj, err)
	}
	if _, _, err := c.Delete(me, in(pods, "a"), api.DeleteOptions{}); err != nil {
		t.Errorf("after it was granted: %v", err)
	}
}
