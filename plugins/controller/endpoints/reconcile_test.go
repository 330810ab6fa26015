package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/pintle-io/pintle/sdk/controller"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func service(change ...func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "svc", Labels: map[string]string{"team": "blue"}},
		Spec: corev1.ServiceSpec{
			ClusterIP: "10.43.0.7", IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Selector: map[string]string{"app": "web"},
			Ports:    []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromString("http")}},
		},
	}
	for _, f := range change {
		f(s)
	}
	return s
}

func pod(i int, change ...func(*corev1.Pod)) *corev1.Pod {
	p := webPod(i)
	p.UID = types.UID("uid-" + p.Name)
	for _, f := range change {
		f(p)
	}
	return p
}

func unready(p *corev1.Pod)  { p.Status.Conditions[0].Status = corev1.ConditionFalse }
func leaving(p *corev1.Pod)  { t := metav1.NewTime(now); p.DeletionTimestamp = &t }
func ended(p *corev1.Pod)    { p.Status.Phase = corev1.PodSucceeded }
func homeless(p *corev1.Pod) { p.Status.PodIP, p.Status.PodIPs = "", nil }
func publishing(s *corev1.Service) {
	s.Spec.PublishNotReadyAddresses = true
}
func headlessService(s *corev1.Service) { s.Spec.ClusterIP = corev1.ClusterIPNone }
func noSelector(s *corev1.Service)      { s.Spec.Selector = nil }

func decide(t *testing.T, objects ...runtime.Object) controller.Decision {
	t.Helper()
	d, err := reconciler{}.Reconcile(context.Background(), serviceKey("default", "web"), controller.ViewOf(spec(), now, objects...))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// applied returns what is there after a decision about objects that were not:
// names for generateName, and nothing else changed.
func applied(d controller.Decision, before ...runtime.Object) (objects []runtime.Object) {
	gone := map[any]bool{}
	for i, a := range d.Actions() {
		obj := a.Object().DeepCopyObject()
		m := obj.(metav1.Object)
		switch a.Verb() {
		case "create":
			if m.GetName() == "" {
				m.SetName(fmt.Sprint(m.GetGenerateName(), i))
			}
			m.SetUID(types.UID(m.GetName()))
			objects = append(objects, obj)
		case "update":
			objects = append(objects, obj)
		}
		gone[id(obj)] = true
	}
	for _, obj := range before {
		if !gone[id(obj)] {
			objects = append(objects, obj)
		}
	}
	return objects
}

func id(obj runtime.Object) string {
	return fmt.Sprintf("%T %s", obj, obj.(metav1.Object).GetName())
}

func find[T runtime.Object](objects []runtime.Object) (found []T) {
	for _, obj := range objects {
		if o, ok := obj.(T); ok {
			found = append(found, o)
		}
	}
	return found
}

func verbs(d controller.Decision) string {
	var out []string
	for _, a := range d.Actions() {
		out = append(out, a.Verb())
	}
	return strings.Join(out, " ")
}

func TestWhoIsAnEndpoint(t *testing.T) {
	for _, tt := range []struct {
		name    string
		service *corev1.Service
		pod     *corev1.Pod
		// Addresses and NotReadyAddresses of the Endpoints; ready, serving and
		// terminating of the slice, "" where it has no endpoint.
		ready, notReady int
		conditions      string
	}{
		{"ready", service(), pod(1), 1, 0, "true true false"},
		{"unready", service(), pod(1, unready), 0, 1, "false false false"},
		{"leaving but serving", service(), pod(1, leaving), 0, 0, "false true true"},
		{"leaving and unready", service(), pod(1, leaving, unready), 0, 0, "false false true"},
		{"ended", service(), pod(1, ended), 0, 0, ""},
		{"without an address", service(), pod(1, homeless), 0, 0, ""},
		{"unready but published", service(publishing), pod(1, unready), 1, 0, "true false false"},
		{"leaving but published", service(publishing), pod(1, leaving), 1, 0, "true true true"},
		{"without the named port", service(), pod(1, func(p *corev1.Pod) { p.Spec.Containers[0].Ports = nil }), 0, 0, ""},
		{"other labels", service(), pod(1, func(p *corev1.Pod) { p.Labels = nil }), 0, 0, ""},
		{"of the other family", service(func(s *corev1.Service) { s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol} }), pod(1), 0, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			made := applied(decide(t, tt.service, tt.pod))
			ep := find[*corev1.Endpoints](made)[0]
			ready, notReady := 0, 0
			for _, s := range ep.Subsets {
				ready += len(s.Addresses)
				notReady += len(s.NotReadyAddresses)
			}
			if ready != tt.ready || notReady != tt.notReady {
				t.Errorf("Endpoints: %d ready, %d not", ready, notReady)
			}
			slices := find[*discoveryv1.EndpointSlice](made)
			if len(slices) != 1 {
				t.Fatalf("%d slices", len(slices))
			}
			got := ""
			for _, e := range slices[0].Endpoints {
				got = fmt.Sprint(*e.Conditions.Ready, " ", *e.Conditions.Serving, " ", *e.Conditions.Terminating)
			}
			if got != tt.conditions {
				t.Errorf("conditions %q, want %q", got, tt.conditions)
			}
		})
	}
}

func TestWhatIsWritten(t *testing.T) {
	node := &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Node"},
		ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{corev1.LabelTopologyZone: "z1"}},
	}
	made := applied(decide(t, service(), pod(1, func(p *corev1.Pod) { p.Spec.Hostname, p.Spec.Subdomain = "h", "web" }), node))
	ep, slice := find[*corev1.Endpoints](made)[0], find[*discoveryv1.EndpointSlice](made)[0]
	address := ep.Subsets[0].Addresses[0]
	if ep.Name != "web" || ep.Labels["team"] != "blue" || address.IP != "10.44.0.2" || *address.NodeName != "n1" || address.Hostname != "h" ||
		address.TargetRef.Kind != "Pod" || address.TargetRef.UID != "uid-web-001" || ep.Subsets[0].Ports[0].Port != 8080 || ep.Subsets[0].Ports[0].Name != "http" {
		t.Errorf("Endpoints: %+v", ep)
	}
	e := slice.Endpoints[0]
	ref := metav1.GetControllerOf(slice)
	if slice.GenerateName != "web-" || slice.Labels["team"] != "blue" || slice.Labels[discoveryv1.LabelServiceName] != "web" ||
		slice.Labels[discoveryv1.LabelManagedBy] != "endpointslice-controller.k8s.io" || slice.AddressType != discoveryv1.AddressTypeIPv4 ||
		ref == nil || ref.UID != "svc" || e.Addresses[0] != "10.44.0.2" || *e.NodeName != "n1" || *e.Zone != "z1" || *e.Hostname != "h" ||
		*slice.Ports[0].Port != 8080 || *slice.Ports[0].Name != "http" {
		t.Errorf("EndpointSlice: %+v", slice)
	}
	made = applied(decide(t, service(headlessService)))
	for _, obj := range made {
		if _, ok := obj.(metav1.Object).GetLabels()[corev1.IsHeadlessService]; !ok {
			t.Errorf("%s of a headless Service does not say so", id(obj))
		}
	}
}

func TestNothingIsWrittenTwice(t *testing.T) {
	for _, svc := range []*corev1.Service{service(), service(headlessService), service(func(s *corev1.Service) { s.Spec.Ports = nil })} {
		objects := []runtime.Object{svc, pod(1), pod(2, unready), pod(3, leaving)}
		objects = applied(decide(t, objects...), objects...)
		if d := decide(t, objects...); !d.Empty() {
			t.Errorf("%v wants %s though nothing changed", svc.Spec, verbs(d))
		}
	}
}

func TestOneChangeTouchesOneSlice(t *testing.T) {
	objects := []runtime.Object{service()}
	for i := range 250 {
		objects = append(objects, pod(i))
	}
	objects = applied(decide(t, objects...), objects...)
	sizes := func() string {
		var n []int
		for _, s := range find[*discoveryv1.EndpointSlice](objects) {
			n = append(n, len(s.Endpoints))
		}
		return fmt.Sprint(n)
	}
	if sizes() != "[100 100 50]" {
		t.Fatalf("slices of %s", sizes())
	}
	unready(find[*corev1.Pod](objects)[120])
	d := decide(t, objects...)
	if got := verbs(d); got != "update update" {
		t.Errorf("one pod changed and %s was wanted", got)
	}
	objects = applied(d, objects...)
	// A new pod goes where there is room.
	objects = append(objects, pod(300))
	objects = applied(decide(t, objects...), objects...)
	if got := len(find[*discoveryv1.EndpointSlice](objects)); got != 3 {
		t.Errorf("%d slices", got)
	}
	// Without pods one empty slice is left.
	var rest []runtime.Object
	for _, obj := range objects {
		if _, isPod := obj.(*corev1.Pod); !isPod {
			rest = append(rest, obj)
		}
	}
	objects = applied(decide(t, rest...), rest...)
	if sizes() != "[0]" {
		t.Errorf("slices of %s", sizes())
	}
}

func TestPodsWithOtherPortNumbersGetSlicesOfTheirOwn(t *testing.T) {
	other := pod(2, func(p *corev1.Pod) { p.Spec.Containers[0].Ports[0].ContainerPort = 9090 })
	made := applied(decide(t, service(), pod(1), other))
	if n := len(find[*discoveryv1.EndpointSlice](made)); n != 2 {
		t.Errorf("%d slices", n)
	}
	if n := len(find[*corev1.Endpoints](made)[0].Subsets); n != 2 {
		t.Errorf("%d subsets", n)
	}
}

func TestEndpointsAreTruncated(t *testing.T) {
	objects := []runtime.Object{service()}
	for i := range 1100 {
		if i%11 == 0 {
			objects = append(objects, pod(i, unready))
		} else {
			objects = append(objects, pod(i))
		}
	}
	ep := find[*corev1.Endpoints](applied(decide(t, objects...)))[0]
	if len(ep.Subsets[0].Addresses) != 1000 || len(ep.Subsets[0].NotReadyAddresses) != 0 || ep.Annotations[corev1.EndpointsOverCapacity] != "truncated" {
		t.Errorf("%d ready, %d not, %v", len(ep.Subsets[0].Addresses), len(ep.Subsets[0].NotReadyAddresses), ep.Annotations)
	}
}

func custom(change ...func(*corev1.Endpoints)) *corev1.Endpoints {
	e := &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "ep"},
		Subsets: []corev1.EndpointSubset{{
			Addresses:         []corev1.EndpointAddress{{IP: "192.0.2.1"}, {IP: "2001:db8::1"}},
			NotReadyAddresses: []corev1.EndpointAddress{{IP: "192.0.2.2"}},
			Ports:             []corev1.EndpointPort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}},
		}},
	}
	for _, f := range change {
		f(e)
	}
	return e
}

func TestMirroring(t *testing.T) {
	objects := []runtime.Object{service(noSelector), custom()}
	made := applied(decide(t, objects...), objects...)
	slices := find[*discoveryv1.EndpointSlice](made)
	if len(slices) != 2 || slices[0].AddressType != "IPv4" || len(slices[0].Endpoints) != 2 || slices[1].AddressType != "IPv6" ||
		slices[0].Labels[discoveryv1.LabelManagedBy] != "endpointslicemirroring-controller.k8s.io" || slices[0].OwnerReferences[0].Kind != "Endpoints" {
		t.Fatalf("got %+v", slices)
	}
	if d := decide(t, made...); !d.Empty() {
		t.Errorf("wants %s though nothing changed", verbs(d))
	}
	if d := decide(t, service(noSelector), custom(func(e *corev1.Endpoints) { e.Labels = map[string]string{discoveryv1.LabelSkipMirror: "true"} })); !d.Empty() {
		t.Errorf("mirrors what is not to be: %s", verbs(d))
	}
	// The Service goes: what was mirrored goes, and with it what it was for.
	var rest []runtime.Object
	for _, obj := range made {
		if _, ok := obj.(*corev1.Service); !ok {
			rest = append(rest, obj)
		}
	}
	if got := verbs(decide(t, rest...)); got != "delete delete delete" {
		t.Errorf("the Service is gone: %q", got)
	}
}

func TestServiceGoes(t *testing.T) {
	objects := []runtime.Object{service(), pod(1)}
	made := applied(decide(t, objects...), pod(1))
	if got := verbs(decide(t, made...)); got != "delete delete" {
		t.Errorf("got %q", got)
	}
	if d := decide(t, custom()); !d.Empty() {
		t.Errorf("Endpoints made before their Service: %s", verbs(d))
	}
}

func TestServiceBecomesExternal(t *testing.T) {
	objects := []runtime.Object{service(), pod(1)}
	made := applied(decide(t, objects...), pod(1))
	made = append(made, service(func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeExternalName }))
	if got := verbs(decide(t, made...)); got != "delete delete" {
		t.Errorf("got %q", got)
	}
}

func TestMap(t *testing.T) {
	view := controller.ViewOf(spec(), now, service())
	for _, tt := range []struct {
		name     string
		old, new runtime.Object
		want     int
	}{
		{"new pod", nil, pod(1), 1},
		{"pod gone", pod(1), nil, 1},
		{"pod no longer matches", pod(1), pod(1, func(p *corev1.Pod) { p.Labels = nil }), 1},
		{"pod of others", nil, pod(1, func(p *corev1.Pod) { p.Labels = nil }), 0},
		{"pod becomes unready", pod(1), pod(1, unready), 1},
		{"pod's other status", pod(1), pod(1, func(p *corev1.Pod) { p.Status.Message = "x" }), 0},
		{"Endpoints", nil, custom(), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if keys := (reconciler{}).Map(context.Background(), controller.Change{Watch: 1, Old: tt.old, New: tt.new}, view); len(keys) != tt.want {
				t.Errorf("got %v", keys)
			}
		})
	}
}
