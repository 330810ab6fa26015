package registry

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// serviceAddresses gives services their address and node ports.
type serviceAddresses struct {
	addresses addressRange
	ports     PortRange
}

const (
	serviceIPClaim = "serviceip/"
	nodePortClaim  = "nodeport/"
)

// serviceIPClaimOf names an address in one way, however it is written.
func serviceIPClaimOf(ip string) string {
	if addr, err := netip.ParseAddr(ip); err == nil {
		ip = addr.String()
	}
	return serviceIPClaim + ip
}

func nodePortClaimOf(port *corev1.ServicePort) string {
	return fmt.Sprintf("%s%s/%d", nodePortClaim, strings.ToLower(string(port.Protocol)), port.NodePort)
}

func serviceClaims(svc *corev1.Service) []string {
	var claims []string
	for _, ip := range svc.Spec.ClusterIPs {
		if ip != "" && ip != corev1.ClusterIPNone {
			claims = append(claims, serviceIPClaimOf(ip))
		}
	}
	if !mayHaveNodePorts(svc) {
		return claims
	}
	for i := range svc.Spec.Ports {
		if port := &svc.Spec.Ports[i]; port.NodePort != 0 {
			claims = append(claims, nodePortClaimOf(port))
		}
	}
	return claims
}

func (s serviceAddresses) allocate(ctx context.Context, a Allocator, svc, old *corev1.Service) ([]string, error) {
	held := sets.New[string]()
	if old != nil {
		held.Insert(serviceClaims(old)...)
	}
	if needsClusterIP(svc) {
		if errs := s.setFamily(svc); len(errs) > 0 {
			return nil, invalidService(svc, errs)
		}
		if err := s.setClusterIP(ctx, a, svc, held); err != nil {
			return nil, err
		}
	}
	if mayHaveNodePorts(svc) {
		if err := s.setNodePorts(ctx, a, svc, held); err != nil {
			return nil, err
		}
	}
	return serviceClaims(svc), nil
}

// setFamily fills the IP family, of which a cluster has one.
func (s serviceAddresses) setFamily(svc *corev1.Service) field.ErrorList {
	family := corev1.IPv4Protocol
	if s.addresses.prefix.Addr().Is6() {
		family = corev1.IPv6Protocol
	}
	spec := field.NewPath("spec")
	if policy := svc.Spec.IPFamilyPolicy; policy == nil {
		svc.Spec.IPFamilyPolicy = new(corev1.IPFamilyPolicySingleStack)
	} else if *policy == corev1.IPFamilyPolicyRequireDualStack {
		return field.ErrorList{field.Invalid(spec.Child("ipFamilyPolicy"), *policy, "this cluster is not configured for dual-stack services")}
	}
	for i, f := range svc.Spec.IPFamilies {
		if f != family {
			return field.ErrorList{field.Invalid(spec.Child("ipFamilies").Index(i), f, "not configured on this cluster")}
		}
	}
	if len(svc.Spec.ClusterIPs) > 1 {
		return field.ErrorList{field.Invalid(spec.Child("clusterIPs"), svc.Spec.ClusterIPs, "may only hold up to 1 values on a single-stack cluster")}
	}
	svc.Spec.IPFamilies = []corev1.IPFamily{family}
	return nil
}

func (s serviceAddresses) setClusterIP(ctx context.Context, a Allocator, svc *corev1.Service, held sets.Set[string]) error {
	first := svc.Namespace == "default" && svc.Name == "kubernetes"
	switch ip := svc.Spec.ClusterIP; {
	case ip == corev1.ClusterIPNone:
		svc.Spec.ClusterIPs = []string{corev1.ClusterIPNone}
		return nil
	case ip == "" && first:
		svc.Spec.ClusterIP = s.addresses.at(1).String()
	case ip == "":
		chosen, err := s.addresses.choose(ctx, a)
		if err != nil {
			return err
		}
		svc.Spec.ClusterIP = chosen.String()
	case !held.Has(serviceIPClaimOf(ip)):
		msg := ""
		if addr, err := netip.ParseAddr(ip); err != nil || !s.addresses.usable(addr) {
			msg = fmt.Sprintf("the provided IP (%v) is not in the valid range. The range of valid IPs is %s", ip, s.addresses.prefix)
		} else if addr == s.addresses.at(1) && !first {
			msg = "provided IP is reserved for the service default/kubernetes"
		} else if holder, err := a.Holder(ctx, serviceIPClaimOf(ip)); err != nil {
			return err
		} else if holder != "" {
			msg = "provided IP is already allocated"
		}
		if msg != "" {
			return invalidService(svc, field.ErrorList{field.Invalid(field.NewPath("spec", "clusterIPs"), svc.Spec.ClusterIPs,
				fmt.Sprintf("failed to allocate IP %v: %s", ip, msg))})
		}
	}
	svc.Spec.ClusterIPs = []string{svc.Spec.ClusterIP}
	return nil
}

func (s serviceAddresses) setNodePorts(ctx context.Context, a Allocator, svc *corev1.Service, held sets.Set[string]) error {
	own := sets.New[string]()
	for i := range svc.Spec.Ports {
		port := &svc.Spec.Ports[i]
		if port.NodePort == 0 {
			continue
		}
		claim := nodePortClaimOf(port)
		own.Insert(claim)
		if held.Has(claim) {
			continue
		}
		msg := ""
		if !s.ports.Contains(port.NodePort) {
			msg = fmt.Sprintf("provided port is not in the valid range. The range of valid ports is %s", s.ports)
		} else if holder, err := a.Holder(ctx, claim); err != nil {
			return err
		} else if holder != "" {
			msg = "provided port is already allocated"
		}
		if msg != "" {
			return invalidService(svc, field.ErrorList{field.Invalid(field.NewPath("spec", "ports").Index(i).Child("nodePort"), port.NodePort, msg)})
		}
	}
	if !needsNodePort(svc) {
		return nil
	}
	for i := range svc.Spec.Ports {
		port := &svc.Spec.Ports[i]
		if port.NodePort != 0 {
			continue
		}
		if err := s.setNodePort(ctx, a, svc, port, own); err != nil {
			return err
		}
		own.Insert(nodePortClaimOf(port))
	}
	return nil
}

func (s serviceAddresses) setNodePort(ctx context.Context, a Allocator, svc *corev1.Service, port *corev1.ServicePort, own sets.Set[string]) error {
	// One port in two protocols gets one node port where that is free.
	for _, other := range svc.Spec.Ports {
		if other.NodePort == 0 || other.Port != port.Port || other.Protocol == port.Protocol {
			continue
		}
		port.NodePort = other.NodePort
		if claim := nodePortClaimOf(port); !own.Has(claim) {
			holder, err := a.Holder(ctx, claim)
			if err != nil {
				return err
			}
			if holder == "" {
				return nil
			}
		}
		port.NodePort = 0
	}
	size := uint64(s.ports.Last-s.ports.First) + 1
	prefix := nodePortClaim + strings.ToLower(string(port.Protocol)) + "/"
	offset, ok, err := choose(ctx, a, prefix, size, staticBand(size, 32, 128), own, func(i uint64) string {
		return fmt.Sprintf("%s%d", prefix, uint64(s.ports.First)+i)
	})
	if err != nil {
		return err
	}
	if !ok {
		return apierrors.NewInternalError(fmt.Errorf("failed to allocate a nodePort: range %s is full; delete services or give the server a larger node port range", s.ports))
	}
	port.NodePort = s.ports.First + int32(offset)
	return nil
}

func invalidService(svc *corev1.Service, errs field.ErrorList) error {
	return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Service").GroupKind(), svc.Name, errs)
}

// addressRange is a range of service addresses: without the address of the
// network itself and, for IPv4, without that of broadcast.
type addressRange struct{ prefix netip.Prefix }

// at is the i-th address; 0 is that of the network.
func (r addressRange) at(i uint64) netip.Addr {
	bytes := r.prefix.Addr().AsSlice()
	for n := len(bytes) - 1; n >= 0 && i > 0; n, i = n-1, i>>8 {
		bytes[n] |= byte(i)
	}
	addr, _ := netip.AddrFromSlice(bytes)
	return addr
}

// size counts addresses from the network's on, at most 2^32 of them.
func (r addressRange) size() uint64 {
	size := uint64(1) << min(32, r.prefix.Addr().BitLen()-r.prefix.Bits())
	if r.prefix.Addr().Is4() {
		size--
	}
	return size
}

func (r addressRange) usable(addr netip.Addr) bool {
	if !r.prefix.Contains(addr) || addr == r.at(0) {
		return false
	}
	return addr.Is6() || addr != r.at(r.size())
}

// choose finds a free address after the first two, the network's and the one
// kept for default/kubernetes.
func (r addressRange) choose(ctx context.Context, a Allocator) (netip.Addr, error) {
	const kept = 2
	size := r.size() - kept
	offset, ok, err := choose(ctx, a, serviceIPClaim, size, staticBand(size, 16, 256), nil, func(i uint64) string {
		return serviceIPClaim + r.at(i+kept).String()
	})
	if err != nil {
		return netip.Addr{}, err
	}
	if !ok {
		return netip.Addr{}, apierrors.NewInternalError(fmt.Errorf("failed to allocate a serviceIP: range %s is full; delete services or give the server a larger service range", r.prefix))
	}
	return r.at(offset + kept), nil
}

// staticBand is how much at the beginning of a range is left to those who name
// a value, as long as there is room elsewhere (KEP-3070, KEP-3682).
func staticBand(size, step, most uint64) uint64 {
	const least = 16
	if size <= least {
		return 0
	}
	return min(max(least, size/step), most)
}

// choose finds an offset below size whose claim is free: a few at random, then
// from a random one on through the list of those that are held.
func choose(ctx context.Context, a Allocator, prefix string, size, band uint64, own sets.Set[string], claim func(uint64) string) (offset uint64, ok bool, err error) {
	const tries = 8
	for range tries {
		i := band + rand.Uint64N(size-band)
		if own.Has(claim(i)) {
			continue
		}
		holder, err := a.Holder(ctx, claim(i))
		if err != nil || holder == "" {
			return i, err == nil, err
		}
	}
	held, err := a.Held(ctx, prefix)
	if err != nil {
		return 0, false, err
	}
	// Among as many offsets and one more as are held, one is free.
	limit := min(size, uint64(len(held)+own.Len())+1)
	scan := func(first, n uint64) (uint64, bool) {
		start := rand.Uint64N(n)
		for i := range min(n, limit) {
			i := first + (start+i)%n
			if _, taken := held[claim(i)]; !taken && !own.Has(claim(i)) {
				return i, true
			}
		}
		return 0, false
	}
	if i, found := scan(band, size-band); found {
		return i, true, nil
	}
	if band == 0 {
		return 0, false, nil
	}
	i, found := scan(0, band)
	return i, found, nil
}
