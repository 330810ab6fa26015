package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/pintle-io/pintle/sdk/conformance"
)

func TestConformance(t *testing.T) {
	executable := filepath.Join(t.TempDir(), "controller-endpoints")
	if out, err := exec.Command("go", "build", "-o", executable, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	conformance.Test(t, conformance.Options{
		Executable: executable,
		Controller: &conformance.ControllerOptions{Scenario: scenario, Settled: settled},
	})
}

// scenario has a Service with 150 pods, and one whose Endpoints are somebody
// else's.
func scenario() []runtime.Object {
	objects := []runtime.Object{
		&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "web"},
			Spec: corev1.ServiceSpec{
				ClusterIP: "10.43.0.7", Selector: map[string]string{"app": "web"},
				Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}},
			},
		},
		&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "outside", UID: "outside"},
			Spec:       corev1.ServiceSpec{ClusterIP: "10.43.0.8", Ports: []corev1.ServicePort{{Port: 5432}}},
		},
		&corev1.Endpoints{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "outside", UID: "ep"},
			Subsets:    []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: "192.0.2.1"}}, Ports: []corev1.EndpointPort{{Port: 5432}}}},
		},
	}
	for i := range 150 {
		objects = append(objects, webPod(i))
	}
	return objects
}

func webPod(i int) *corev1.Pod {
	ip := fmt.Sprintf("10.44.%d.%d", i/250, i%250+1)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("web-%03d", i), UID: "", Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{
			NodeName:   "n1",
			Containers: []corev1.Container{{Name: "c", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}}}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}},
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
}

func settled(w *conformance.World) error {
	sizes := map[string][]int{}
	for _, u := range w.List(discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice")) {
		endpoints, _ := u.Object["endpoints"].([]any)
		service := u.GetLabels()[discoveryv1.LabelServiceName]
		sizes[service] = append(sizes[service], len(endpoints))
	}
	if got := fmt.Sprint(sizes); got != "map[outside:[1] web:[100 50]]" {
		return fmt.Errorf("slices: %s", got)
	}
	return nil
}
