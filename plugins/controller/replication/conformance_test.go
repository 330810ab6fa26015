package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/pintle-io/pintle/sdk/conformance"
)

func TestConformance(t *testing.T) {
	executable := filepath.Join(t.TempDir(), "controller-replication")
	if out, err := exec.Command("go", "build", "-o", executable, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	conformance.Test(t, conformance.Options{
		Executable: executable,
		Controller: &conformance.ControllerOptions{Scenario: scenario, Settled: settled},
	})
}

// scenario has one that must create, one that must delete, and pods to adopt
// and to release.
func scenario() []runtime.Object {
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	rc := &corev1.ReplicationController{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "rc", Generation: 1},
		Spec:       corev1.ReplicationControllerSpec{Replicas: ptr.To[int32](5), Selector: map[string]string{"app": "web"}, Template: &template},
	}
	rs := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db", UID: "rs", Generation: 1},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: ptr.To[int32](1), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "db"}}, Spec: template.Spec},
		},
	}
	objects := []runtime.Object{rc, rs}
	for i := range 3 {
		objects = append(objects, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: fmt.Sprint("db-", i), Labels: map[string]string{"app": "db"},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(rs, setKind)},
		}})
	}
	return append(objects,
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "orphan", Labels: map[string]string{"app": "web"}}},
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "stranger", Labels: map[string]string{"app": "other"},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(rc, controllerKind)},
		}},
	)
}

func settled(w *conformance.World) error {
	owned := map[string]int{}
	for _, pod := range w.List(corev1.SchemeGroupVersion.WithKind("Pod")) {
		if ref := metav1.GetControllerOf(pod); ref != nil {
			owned[ref.Name]++
		} else if pod.GetName() != "stranger" {
			return fmt.Errorf("pod %s belongs to nobody", pod.GetName())
		}
	}
	if owned["web"] != 5 || owned["db"] != 1 {
		return fmt.Errorf("pods by owner: %v", owned)
	}
	return nil
}
