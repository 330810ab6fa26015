package api_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pintle-io/pintle/core/api"
)

func (c *cluster) patch(t api.Target, pt types.PatchType, patch string, opts api.PatchOptions) (any, error) {
	obj, _, err := c.Patch(c.ctx, t, pt, []byte(patch), opts)
	return obj, err
}

func TestPatchTypes(t *testing.T) {
	c := newCluster(t)
	c.createPod("web")
	tests := []struct {
		name  string
		pt    types.PatchType
		patch string
		check func(*corev1.Pod) bool
	}{
		{"merge", types.MergePatchType, `{"metadata":{"labels":{"tier":"front"}}}`,
			func(p *corev1.Pod) bool { return p.Labels["tier"] == "front" && p.Labels["app"] == "web" }},
		{"merge deletes", types.MergePatchType, `{"metadata":{"labels":{"tier":null}}}`,
			func(p *corev1.Pod) bool { _, has := p.Labels["tier"]; return !has }},
		{"json", types.JSONPatchType, `[{"op":"add","path":"/metadata/labels/tier","value":"back"}]`,
			func(p *corev1.Pod) bool { return p.Labels["tier"] == "back" }},
		{"strategic merges lists by key", types.StrategicMergePatchType, `{"spec":{"containers":[{"name":"main","image":"web:2"}]}}`,
			func(p *corev1.Pod) bool {
				return len(p.Spec.Containers) == 1 && p.Spec.Containers[0].Image == "web:2" && p.Spec.Containers[0].TerminationMessagePath != ""
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			obj, err := c.patch(in(pods, "web"), tt.pt, tt.patch, api.PatchOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if pod := obj.(*corev1.Pod); !tt.check(pod) {
				t.Errorf("got %+v", pod)
			}
			wantSame(t, c.pod("web"), obj.(*corev1.Pod))
		})
	}
}

func TestPatchErrors(t *testing.T) {
	c := newCluster(t)
	c.createPod("web")
	tests := []struct {
		name, on, patch string
		pt              types.PatchType
		opts            api.PatchOptions
		code            int32
	}{
		{"not there", "none", `{}`, types.MergePatchType, api.PatchOptions{}, 404},
		{"no JSON", "web", `{`, types.MergePatchType, api.PatchOptions{}, 400},
		{"failed test", "web", `[{"op":"test","path":"/metadata/name","value":"x"}]`, types.JSONPatchType, api.PatchOptions{}, 422},
		{"stale resourceVersion", "web", `{"metadata":{"resourceVersion":"1"}}`, types.MergePatchType, api.PatchOptions{}, 409},
		{"rename", "web", `{"metadata":{"name":"x"}}`, types.MergePatchType, api.PatchOptions{}, 400},
		{"immutable field", "web", `{"spec":{"nodeName":"x","restartPolicy":"Never"}}`, types.StrategicMergePatchType, api.PatchOptions{}, 422},
		{"unknown field, strict", "web", `{"spec":{"colour":"red"}}`, types.MergePatchType, api.PatchOptions{FieldValidation: "Strict"}, 422},
		{"wrong type", "web", `{"metadata":{"labels":7}}`, types.MergePatchType, api.PatchOptions{}, 422},
		{"force without apply", "web", `{}`, types.MergePatchType, api.PatchOptions{Force: new(bool)}, 422},
		{"unknown patch type", "web", `{}`, "application/x", api.PatchOptions{}, 415},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.patch(in(pods, tt.on), tt.pt, tt.patch, tt.opts)
			status, ok := err.(apierrors.APIStatus)
			if !ok || status.Status().Code != tt.code {
				t.Errorf("got %v, want code %d", err, tt.code)
			}
		})
	}
}

func TestPatchWarnsOfUnknownFields(t *testing.T) {
	c := newCluster(t)
	c.createPod("web")
	var warnings api.Warnings
	_, _, err := c.Patch(api.WithWarnings(c.ctx, &warnings), in(pods, "web"), types.MergePatchType, []byte(`{"spec":{"colour":"red"}}`), api.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if list := warnings.List(); len(list) != 1 || list[0] != `unknown field "spec.colour"` {
		t.Errorf("warnings %q", list)
	}
}

// Patches that name no resourceVersion never conflict with each other.
func TestPatchConcurrently(t *testing.T) {
	c := newCluster(t)
	must[any](t)(c.Create(c.ctx, in(configMaps, ""), newConfigMap("a"), api.CreateOptions{}))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 10 {
				patch := fmt.Sprintf(`{"data":{"k%d-%d":"v"}}`, i, j)
				if _, err := c.patch(in(configMaps, "a"), types.MergePatchType, patch, api.PatchOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	cm := must[any](t)(c.Get(c.ctx, in(configMaps, "a"), api.GetOptions{})).(*corev1.ConfigMap)
	if len(cm.Data) != 80 {
		t.Errorf("%d of 80 patches are there", len(cm.Data))
	}
}

func TestScale(t *testing.T) {
	c := newCluster(t)
	rc := &corev1.ReplicationController{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: corev1.ReplicationControllerSpec{
			Selector: map[string]string{"app": "web"},
			Template: &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}, Spec: newPod("").Spec},
		},
	}
	must[any](t)(c.Create(c.ctx, in(rcs, ""), rc, api.CreateOptions{}))
	target := in(rcs, "web")
	target.Subresource = "scale"
	scale, err := c.patch(target, types.MergePatchType, `{"spec":{"replicas":7}}`, api.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := must[any](t)(c.Get(c.ctx, in(rcs, "web"), api.GetOptions{})).(*corev1.ReplicationController)
	if *got.Spec.Replicas != 7 || got.Generation != 2 {
		t.Errorf("replicas %d, generation %d, scale %+v", *got.Spec.Replicas, got.Generation, scale)
	}
	if _, err := c.patch(target, types.MergePatchType, `{"spec":{"replicas":-1}}`, api.PatchOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("negative replicas: %v", err)
	}
}

func TestApply(t *testing.T) {
	c := newCluster(t)
	apply := func(manager, config string, force bool) (*corev1.ConfigMap, bool, error) {
		opts := api.PatchOptions{FieldManager: manager}
		if force {
			opts.Force = &force
		}
		obj, created, err := c.Patch(c.ctx, in(configMaps, "a"), types.ApplyYAMLPatchType, []byte(config), opts)
		if err != nil {
			return nil, false, err
		}
		return obj.(*corev1.ConfigMap), created, nil
	}
	const config = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  x: \"%s\"\n"
	cm, created, err := apply("one", fmt.Sprintf(config, "1"), false)
	if err != nil || !created || cm.Data["x"] != "1" || len(cm.ManagedFields) != 1 {
		t.Fatalf("create by apply: %v %v %+v", created, err, cm)
	}
	again, created, err := apply("one", fmt.Sprintf(config, "1"), false)
	if err != nil || created || again.ResourceVersion != cm.ResourceVersion {
		t.Errorf("apply of the same: %v %v %+v", created, err, again)
	}
	_, _, err = apply("two", fmt.Sprintf(config, "2"), false)
	if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `conflict with "one": .data.x`) {
		t.Errorf("want a conflict with its owner, got %v", err)
	}
	cm, _, err = apply("two", fmt.Sprintf(config, "2"), true)
	if err != nil || cm.Data["x"] != "2" {
		t.Errorf("forced: %v %+v", err, cm)
	}
	if _, _, err := apply("", fmt.Sprintf(config, "2"), false); !apierrors.IsInvalid(err) {
		t.Errorf("apply without a manager: %v", err)
	}
	// An ordinary update of an applied object is tracked.
	change := cm.DeepCopy()
	change.Data["y"] = "new"
	change = must[any](t)(c.Update(c.ctx, in(configMaps, "a"), change, api.UpdateOptions{FieldManager: "editor"})).(*corev1.ConfigMap)
	var managers []string
	for _, m := range change.ManagedFields {
		managers = append(managers, m.Manager)
	}
	if !contains(managers, "editor") {
		t.Errorf("managers %v", managers)
	}
	// What its manager no longer applies goes away.
	cm, _, err = apply("two", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n", false)
	if _, has := cm.Data["x"]; err != nil || has || cm.Data["y"] != "new" {
		t.Errorf("%v %+v", err, cm)
	}
}

// An object that was never applied carries no managed fields.
func TestOrdinaryWritesAreNotTracked(t *testing.T) {
	c := newCluster(t)
	pod := c.createPod("web")
	if len(pod.ManagedFields) != 0 {
		t.Errorf("%+v", pod.ManagedFields)
	}
	obj, _, err := c.Patch(c.ctx, in(pods, "web"), types.ApplyYAMLPatchType,
		[]byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","labels":{"b":"c"}}}`), api.PatchOptions{FieldManager: "kubectl"})
	if err != nil {
		t.Fatal(err)
	}
	var managers []string
	for _, m := range obj.(*corev1.Pod).ManagedFields {
		managers = append(managers, m.Manager)
	}
	if !contains(managers, "before-first-apply") || !contains(managers, "kubectl") {
		t.Errorf("managers %v", managers)
	}
}

// Apply knows the fields of every kind that is served.
func TestApplyEveryKind(t *testing.T) {
	c := newCluster(t)
	for _, k := range c.Kinds().Kinds() {
		if k.Resource == "namespaces" {
			continue
		}
		target := api.Target{Resource: k.GroupResource(), Name: "applied"}
		if k.Namespaced {
			target.Namespace = "default"
		}
		config := fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":"applied","labels":{"a":"b"}}}`, k.GVK.GroupVersion(), k.GVK.Kind)
		_, _, err := c.Patch(c.ctx, target, types.ApplyYAMLPatchType, []byte(config), api.PatchOptions{FieldManager: "test"})
		if err != nil && !apierrors.IsInvalid(err) {
			t.Errorf("%s: %v", k.GVK, err)
		}
	}
}

func TestApplyOfStatusOwnsNoSpec(t *testing.T) {
	c := newCluster(t)
	c.createPod("web")
	target := in(pods, "web")
	target.Subresource = "status"
	obj, _, err := c.Patch(c.ctx, target, types.ApplyYAMLPatchType,
		[]byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"status":{"message":"hello"}}`), api.PatchOptions{FieldManager: "agent"})
	if err != nil {
		t.Fatal(err)
	}
	pod := obj.(*corev1.Pod)
	if pod.Status.Message != "hello" {
		t.Errorf("status %+v", pod.Status)
	}
	for _, m := range pod.ManagedFields {
		if m.Manager == "agent" && (m.Subresource != "status" || strings.Contains(m.FieldsV1.String(), "f:spec")) {
			t.Errorf("%+v", m)
		}
	}
	wantSame(t, c.pod("web"), pod)
}

// The metadata of a status patch is checked: it is how an agent makes sure
// that it writes about the pod that it knows.
func TestPatchChecksUID(t *testing.T) {
	c := newCluster(t)
	pod := c.createPod("web")
	target := in(pods, "web")
	target.Subresource = "status"
	patch := func(uid types.UID) error {
		_, err := c.patch(target, types.StrategicMergePatchType, fmt.Sprintf(`{"metadata":{"uid":%q},"status":{"message":"x"}}`, uid), api.PatchOptions{})
		return err
	}
	if err := patch(pod.UID); err != nil {
		t.Error(err)
	}
	if err := patch("other"); !apierrors.IsConflict(err) {
		t.Errorf("another uid: %v", err)
	}
}
