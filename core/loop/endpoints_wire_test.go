package loop_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/loop"
	"github.com/pintle-io/pintle/core/loop/looptest"
)

// TestEndpointsOverTheWire runs the real plugin against the real API: what it
// writes is what the API keeps, so that it comes to rest.
func TestEndpointsOverTheWire(t *testing.T) {
	e := looptest.New(t)
	h := newHost(t, e)
	instance := start(t, e, h, build(t, "endpoints"), "endpoints")
	grant(e, "endpoints", instance)
	looptest.Run(t, loop.New(e.Options("controller/endpoints")), served(instance))

	for _, name := range []string{"web", "headless", "outside"} {
		e.Create(newService(name))
		if name != "outside" {
			runningPod(e, name)
		}
	}
	e.Create(&corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "outside"},
		Subsets:    []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: "192.0.2.1"}}, Ports: []corev1.EndpointPort{{Port: 80}}}},
	})
	names := []string{"web", "headless", "outside"}
	settled(t, e, names...)
	before := versions(e, names...)

	// While another Service is worked on, these are left alone.
	for i := range 5 {
		name := fmt.Sprint("another-", i)
		e.Create(newService(name))
		runningPod(e, name)
		settled(t, e, name)
	}
	if after := versions(e, names...); after != before {
		t.Errorf("written again though nothing changed:\n%s\n%s", before, after)
	}
}

func newService(name string) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": name},
			Ports:    []corev1.ServicePort{{Name: "b", Port: 81, TargetPort: intstr.FromString("http")}, {Name: "a", Port: 80}},
		},
	}
	switch name {
	case "headless":
		svc.Spec.ClusterIP = corev1.ClusterIPNone
	case "outside":
		svc.Spec.Selector, svc.Spec.Ports = nil, []corev1.ServicePort{{Port: 80}}
	}
	return svc
}

func runningPod(e *looptest.Env, app string) {
	e.T.Helper()
	pod := e.Create(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: app, Labels: map[string]string{"app": app}},
		Spec: corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{
			Name: "c", Image: "i", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
		}}},
	}).(*corev1.Pod)
	pod.Status.Phase, pod.Status.PodIP = corev1.PodRunning, "10.44.0.7"
	pod.Status.PodIPs = []corev1.PodIP{{IP: pod.Status.PodIP}}
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
	e.UpdateStatus(pod)
}

// slicesOf returns the slices of a Service.
func slicesOf(e *looptest.Env, service string) (slices []*discoveryv1.EndpointSlice) {
	e.T.Helper()
	t := api.Target{Resource: schema.GroupResource{Group: "discovery.k8s.io", Resource: "endpointslices"}}
	l, err := e.API.List(e.Admin, t, api.ListOptions{LabelSelector: "kubernetes.io/service-name=" + service})
	if err != nil {
		e.T.Fatal(err)
	}
	for _, obj := range l.Items {
		slices = append(slices, obj.(*discoveryv1.EndpointSlice))
	}
	return slices
}

func settled(t *testing.T, e *looptest.Env, names ...string) {
	t.Helper()
	looptest.Eventually(t, "endpoints", func() (bool, string) {
		for _, name := range names {
			ep, _ := e.Get("endpoints", "default", name).(*corev1.Endpoints)
			if ep == nil || len(ep.Subsets) != 1 || len(ep.Subsets[0].Addresses) != 1 {
				return false, fmt.Sprintf("%s: %+v", name, ep)
			}
			if slices := slicesOf(e, name); len(slices) != 1 || len(slices[0].Endpoints) != 1 {
				return false, fmt.Sprintf("%s: %+v", name, slices)
			}
		}
		return true, ""
	})
}

// versions shows the resource versions of all that belongs to Services.
func versions(e *looptest.Env, names ...string) string {
	e.T.Helper()
	out := ""
	for _, name := range names {
		out += name + " " + e.Get("endpoints", "default", name).(*corev1.Endpoints).ResourceVersion
		for _, slice := range slicesOf(e, name) {
			out += " " + slice.GetResourceVersion()
		}
		out += "; "
	}
	return out
}
