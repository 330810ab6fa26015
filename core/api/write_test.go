package api_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pintle-io/pintle/core/api"
)

func TestCreateReturnsWhatIsStored(t *testing.T) {
	c := newCluster(t)
	created := c.createPod("web")
	if created.UID == "" || created.CreationTimestamp.IsZero() || created.ResourceVersion == "" || created.Namespace != "default" {
		t.Errorf("system fields are missing: %+v", created.ObjectMeta)
	}
	if created.Spec.ServiceAccountName != "default" || created.Spec.RestartPolicy != corev1.RestartPolicyAlways {
		t.Errorf("defaults are missing: %+v", created.Spec)
	}
	if len(created.Spec.Tolerations) != 2 {
		t.Errorf("want tolerations of not-ready and unreachable, got %v", created.Spec.Tolerations)
	}
	read := c.pod("web")
	wantSame(t, read, created)
}

func TestCreateErrors(t *testing.T) {
	c := newCluster(t)
	c.createPod("web")
	versioned := newPod("other")
	versioned.ResourceVersion = "5"
	elsewhere := newPod("other")
	elsewhere.Namespace = "kube-system"
	tests := []struct {
		name   string
		target api.Target
		obj    *corev1.Pod
		is     func(error) bool
		says   string
	}{
		{"taken name", in(pods, ""), newPod("web"), apierrors.IsAlreadyExists, `pods "web" already exists`},
		{"no namespace", api.Target{Resource: pods, Namespace: "nowhere"}, newPod("web"), apierrors.IsNotFound, `namespaces "nowhere" not found`},
		{"resourceVersion set", in(pods, ""), versioned, apierrors.IsBadRequest, "resourceVersion should not be set on objects to be created"},
		{"other namespace", in(pods, ""), elsewhere, apierrors.IsBadRequest, "the namespace of the provided object does not match the namespace sent on the request"},
		{"bad name", in(pods, ""), newPod("A_b"), apierrors.IsInvalid, `Pod "A_b" is invalid: metadata.name: Invalid value: "A_b"`},
		{"no name", in(pods, ""), newPod(""), apierrors.IsInvalid, "name or generateName is required"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.Create(c.ctx, tt.target, tt.obj, api.CreateOptions{})
			if !tt.is(err) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
		})
	}
}

func TestCreateInvalidNamesFields(t *testing.T) {
	c := newCluster(t)
	pod := newPod("web")
	pod.Spec.Containers[0].Name = ""
	pod.Labels["a b"] = "c"
	_, err := c.Create(c.ctx, in(pods, ""), pod, api.CreateOptions{})
	status := apierrors.APIStatus(nil)
	if s, ok := err.(apierrors.APIStatus); ok {
		status = s
	} else {
		t.Fatalf("got %v", err)
	}
	var named []string
	for _, cause := range status.Status().Details.Causes {
		named = append(named, cause.Field)
	}
	if status.Status().Code != 422 || !contains(named, "spec.containers[0].name") || !contains(named, "metadata.labels") {
		t.Errorf("code %d, causes %v", status.Status().Code, named)
	}
}

func TestGenerateName(t *testing.T) {
	c := newCluster(t)
	seen := map[string]bool{}
	for range 20 {
		pod := newPod("")
		pod.GenerateName = "web-"
		obj := must[any](t)(c.Create(c.ctx, in(pods, ""), pod, api.CreateOptions{})).(*corev1.Pod)
		if !strings.HasPrefix(obj.Name, "web-") || len(obj.Name) != len("web-")+5 || seen[obj.Name] {
			t.Fatalf("generated %q", obj.Name)
		}
		seen[obj.Name] = true
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	c := newCluster(t)
	dry := []string{metav1.DryRunAll}
	if _, err := c.Create(c.ctx, in(pods, ""), newPod("web"), api.CreateOptions{DryRun: dry}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(c.ctx, in(pods, "web"), api.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Fatalf("a dry run made the pod: %v", err)
	}
	before := c.createPod("web")
	changed := before.DeepCopy()
	changed.Labels["new"] = "label"
	got := must[any](t)(c.Update(c.ctx, in(pods, "web"), changed, api.UpdateOptions{DryRun: dry})).(*corev1.Pod)
	if got.Labels["new"] != "label" {
		t.Error("the result does not show the change")
	}
	if _, _, err := c.Delete(c.ctx, in(pods, "web"), api.DeleteOptions{DryRun: dry}); err != nil {
		t.Fatal(err)
	}
	wantSame(t, c.pod("web"), before)
	_, err := c.Create(c.ctx, in(pods, ""), newPod("x"), api.CreateOptions{DryRun: []string{"Some"}})
	if !apierrors.IsInvalid(err) {
		t.Errorf("got %v for an unknown dryRun value", err)
	}
}

func TestUpdateOptimisticLock(t *testing.T) {
	c := newCluster(t)
	first := c.createPod("web")
	second := first.DeepCopy()
	second.Labels["a"] = "1"
	updated := must[any](t)(c.Update(c.ctx, in(pods, "web"), second.DeepCopy(), api.UpdateOptions{})).(*corev1.Pod)
	_, err := c.Update(c.ctx, in(pods, "web"), second, api.UpdateOptions{})
	want := `Operation cannot be fulfilled on pods "web": the object has been modified; please apply your changes to the latest version and try again`
	if !apierrors.IsConflict(err) || err.Error() != want {
		t.Errorf("got %v", err)
	}
	again := must[any](t)(c.Update(c.ctx, in(pods, "web"), updated.DeepCopy(), api.UpdateOptions{})).(*corev1.Pod)
	if again.ResourceVersion != updated.ResourceVersion {
		t.Errorf("an update without a change moved resourceVersion from %s to %s", updated.ResourceVersion, again.ResourceVersion)
	}
	unconditional := updated.DeepCopy()
	unconditional.ResourceVersion = ""
	unconditional.Labels["a"] = "2"
	got := must[any](t)(c.Update(c.ctx, in(pods, "web"), unconditional, api.UpdateOptions{})).(*corev1.Pod)
	if got.Labels["a"] != "2" || got.ResourceVersion == updated.ResourceVersion {
		t.Errorf("got %v", got.ObjectMeta)
	}
	stranger := got.DeepCopy()
	stranger.UID = "other"
	if _, err := c.Update(c.ctx, in(pods, "web"), stranger, api.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("another uid: %v", err)
	}
}

func TestUpdateKeepsWhatIsTheServers(t *testing.T) {
	c := newCluster(t)
	rc := &corev1.ReplicationController{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: corev1.ReplicationControllerSpec{
			Selector: map[string]string{"app": "web"},
			Template: &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}, Spec: newPod("").Spec},
		},
	}
	created := must[any](t)(c.Create(c.ctx, in(rcs, ""), rc, api.CreateOptions{})).(*corev1.ReplicationController)
	if created.Generation != 1 {
		t.Errorf("generation %d", created.Generation)
	}
	change := created.DeepCopy()
	three := int32(3)
	change.Spec.Replicas = &three
	change.Generation = 77
	change.CreationTimestamp = metav1.Time{}
	change.UID = ""
	change.Status.Replicas = 9
	got := must[any](t)(c.Update(c.ctx, in(rcs, "web"), change, api.UpdateOptions{})).(*corev1.ReplicationController)
	if got.Generation != 2 || got.UID != created.UID || !got.CreationTimestamp.Equal(&created.CreationTimestamp) || got.Status.Replicas != 0 {
		t.Errorf("got %+v", got)
	}
	target := in(rcs, "web")
	target.Subresource = "status"
	status := got.DeepCopy()
	status.Status.Replicas = 2
	nine := int32(9)
	status.Spec.Replicas = &nine
	got = must[any](t)(c.Update(c.ctx, target, status, api.UpdateOptions{})).(*corev1.ReplicationController)
	if got.Generation != 2 || *got.Spec.Replicas != 3 || got.Status.Replicas != 2 {
		t.Errorf("after the status update: %+v", got)
	}
}

func TestNotFound(t *testing.T) {
	c := newCluster(t)
	_, getErr := c.Get(c.ctx, in(pods, "none"), api.GetOptions{})
	_, updateErr := c.Update(c.ctx, in(pods, "none"), newPod("none"), api.UpdateOptions{})
	_, _, deleteErr := c.Delete(c.ctx, in(pods, "none"), api.DeleteOptions{})
	for _, err := range []error{getErr, updateErr, deleteErr} {
		if !apierrors.IsNotFound(err) || err.Error() != `pods "none" not found` {
			t.Errorf("got %v", err)
		}
	}
	_, err := c.Get(c.ctx, api.Target{Resource: pods, Namespace: "default", Name: "x", Subresource: "scale"}, api.GetOptions{})
	if !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), "could not find the requested resource") {
		t.Errorf("got %v", err)
	}
}
