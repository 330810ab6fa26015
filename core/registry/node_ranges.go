package registry

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podRanges cuts the cluster's range of pod addresses into ranges of nodes.
type podRanges struct {
	cluster netip.Prefix
	// bits is the prefix length of a node's range.
	bits int
}

const podRangeClaim = "podcidr/"

func nodeClaims(n *corev1.Node) []string {
	var claims []string
	for _, cidr := range n.Spec.PodCIDRs {
		if prefix, err := netip.ParsePrefix(cidr); err == nil {
			cidr = prefix.Masked().String()
		}
		claims = append(claims, podRangeClaim+cidr)
	}
	return claims
}

// allocate gives a new node a range, and keeps the one that it has. A node
// that left and comes back under its name finds its old range again unless it
// went to another, since the search begins at a hash of the name.
func (r podRanges) allocate(ctx context.Context, a Allocator, n, old *corev1.Node) ([]string, error) {
	if old != nil && len(old.Spec.PodCIDRs) > 0 && len(n.Spec.PodCIDRs) > 0 {
		return nodeClaims(n), nil
	}
	held, err := a.Held(ctx, podRangeClaim)
	if err != nil {
		return nil, err
	}
	if len(n.Spec.PodCIDRs) > 0 {
		if errs := validateFreeRanges(n, held); len(errs) > 0 {
			return nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Node").GroupKind(), n.Name, errs)
		}
		return nodeClaims(n), nil
	}
	named := r.named(held)
	count := uint32(1) << (r.bits - r.cluster.Bits())
	start := hash32(n.Name)
	for i := range count {
		prefix := r.at((start + i) % count)
		if _, taken := held[podRangeClaim+prefix.String()]; taken || slices.ContainsFunc(named, prefix.Overlaps) {
			continue
		}
		n.Spec.PodCIDR, n.Spec.PodCIDRs = prefix.String(), []string{prefix.String()}
		return nodeClaims(n), nil
	}
	return nil, apierrors.NewInternalError(fmt.Errorf(
		"no pod range is left for node %q: all %d ranges of /%d in %s are taken; delete nodes that are gone or give the server a larger cluster range",
		n.Name, count, r.bits, r.cluster))
}

// named are the ranges held that clients named in another size than ours.
func (r podRanges) named(held map[string]string) []netip.Prefix {
	var named []netip.Prefix
	for claim := range held {
		prefix, err := netip.ParsePrefix(claim[len(podRangeClaim):])
		if err == nil && prefix.Bits() != r.bits {
			named = append(named, prefix)
		}
	}
	return named
}

// validateFreeRanges checks the ranges that a client names against all others.
func validateFreeRanges(n *corev1.Node, held map[string]string) field.ErrorList {
	var errs field.ErrorList
	for i, cidr := range n.Spec.PodCIDRs {
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			continue // validatePodCIDRs says so
		}
		for claim := range held {
			other, err := netip.ParsePrefix(claim[len(podRangeClaim):])
			if err == nil && other.Overlaps(prefix) {
				errs = append(errs, field.Invalid(field.NewPath("spec", "podCIDRs").Index(i), cidr, fmt.Sprintf("overlaps %s, which is allocated to another node", other)))
				break
			}
		}
	}
	return errs
}

// at is the i-th range of a node.
func (r podRanges) at(i uint32) netip.Prefix {
	addr := r.cluster.Addr().AsSlice()
	// The index is written into the bits that end at the prefix length.
	for bit := r.bits - 1; i != 0; bit, i = bit-1, i>>1 {
		addr[bit/8] |= byte(i&1) << (7 - bit%8)
	}
	ip, _ := netip.AddrFromSlice(addr)
	return netip.PrefixFrom(ip, r.bits)
}

func hash32(s string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(s))
	return h.Sum32()
}
