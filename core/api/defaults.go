package api

import (
	"context"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/pintle-io/pintle/core/auth"
)

// Defaults are what the objects that every cluster has must know.
type Defaults struct {
	// ServiceIP is the cluster address of the service "kubernetes": the first
	// one of the service range. Where it is not valid the service is not made.
	ServiceIP netip.Addr
	// Server is where the API server listens: the endpoint of that service.
	Server netip.AddrPort
}

const (
	apiServerService = "kubernetes"
	apiServerPort    = 443
)

// EnsureDefaults makes the objects that every cluster has, and brings the
// endpoint of the service "kubernetes" up to date. It may be called at each
// start.
func (s *Service) EnsureDefaults(ctx context.Context, d Defaults) error {
	ctx = auth.WithUser(ctx, auth.System("bootstrap"))
	for _, name := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := s.ensure(ctx, Target{Resource: namespaceResource}, ns, nil); err != nil {
			return fmt.Errorf("making namespace %s: %w", name, err)
		}
	}
	if !d.ServiceIP.IsValid() {
		return nil
	}
	for _, o := range d.objects() {
		t := Target{Resource: o.resource, Namespace: metav1.NamespaceDefault}
		if err := s.ensure(ctx, t, o.object, o.keep); err != nil {
			return fmt.Errorf("making %s %s: %w", o.resource, apiServerService, err)
		}
	}
	return nil
}

type defaultObject struct {
	resource schema.GroupResource
	object   runtime.Object
	// keep takes from the present object what is not ours to say; nil where the
	// object is left alone once it is there.
	keep func(obj, present runtime.Object)
}

func (d Defaults) objects() []defaultObject {
	family, addressType := corev1.IPv4Protocol, discoveryv1.AddressTypeIPv4
	if d.ServiceIP.Is6() {
		family = corev1.IPv6Protocol
	}
	if d.Server.Addr().Is6() {
		addressType = discoveryv1.AddressTypeIPv6
	}
	labels := map[string]string{"component": "apiserver", "provider": "kubernetes"}
	meta := func() metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: apiServerService, Namespace: metav1.NamespaceDefault, Labels: labels}
	}
	single := corev1.IPFamilyPolicySingleStack
	service := &corev1.Service{
		ObjectMeta: meta(),
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, ClusterIP: d.ServiceIP.String(), ClusterIPs: []string{d.ServiceIP.String()},
			IPFamilies: []corev1.IPFamily{family}, IPFamilyPolicy: &single,
			Ports: []corev1.ServicePort{{Name: "https", Port: apiServerPort, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(int32(d.Server.Port()))}},
		},
	}
	list := []defaultObject{{resource: schema.GroupResource{Resource: "services"}, object: service}}
	if !d.Server.IsValid() {
		return list
	}
	port, name, protocol, ready := int32(d.Server.Port()), "https", corev1.ProtocolTCP, true
	address := d.Server.Addr().String()
	endpoints := &corev1.Endpoints{
		ObjectMeta: meta(),
		Subsets: []corev1.EndpointSubset{{
			Addresses: []corev1.EndpointAddress{{IP: address}},
			Ports:     []corev1.EndpointPort{{Name: name, Port: port, Protocol: protocol}},
		}},
	}
	// The slice is the server's own, so no controller is to mirror the Endpoints.
	endpoints.Labels = map[string]string{discoveryv1.LabelSkipMirror: "true"}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  meta(),
		AddressType: addressType,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &protocol}},
	}
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: apiServerService}
	return append(list,
		defaultObject{schema.GroupResource{Resource: "endpoints"}, endpoints, keepRevision},
		defaultObject{schema.GroupResource{Group: discoveryv1.GroupName, Resource: "endpointslices"}, slice, keepRevision},
	)
}

func keepRevision(obj, present runtime.Object) {
	metaOf(obj).SetResourceVersion(metaOf(present).GetResourceVersion())
}

// ensure creates an object, or brings it up to date where keep is not nil.
func (s *Service) ensure(ctx context.Context, t Target, obj runtime.Object, keep func(obj, present runtime.Object)) error {
	name := metaOf(obj).GetName()
	_, err := s.Create(ctx, t, obj.DeepCopyObject(), CreateOptions{})
	if err == nil || !apierrors.IsAlreadyExists(err) || keep == nil {
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	}
	t.Name = name
	present, err := s.Get(ctx, t, GetOptions{})
	if err != nil {
		return err
	}
	keep(obj, present)
	_, err = s.Update(ctx, t, obj, UpdateOptions{})
	return err
}
