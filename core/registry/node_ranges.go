package registry

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/netip"

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
		claims = append(claims, podRangeClaim+cidr)
	}
	return claims
}

// allocate gives a new node a range, and keeps the one that it has. A node
// that left and comes back under its name finds its old range again unless it
// went to another, since the search begins at a hash of the name.
func (r podRanges) allocate(ctx context.Context, a Allocator, n, old *corev1.Node) ([]string, error) {
	if len(n.Spec.PodCIDRs) > 0 {
		claims := nodeClaims(n)
		if old != nil && len(old.Spec.PodCIDRs) > 0 {
			return claims, nil
		}
		for i, claim := range claims {
			holder, err := a.Holder(ctx, claim)
			if err != nil {
				return nil, err
			}
			if holder != "" {
				path := field.NewPath("spec", "podCIDRs").Index(i)
				return nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Node").GroupKind(), n.Name,
					field.ErrorList{field.Invalid(path, n.Spec.PodCIDRs[i], "provided range is already allocated to another node")})
			}
		}
		return claims, nil
	}

	held, err := a.Held(ctx, podRangeClaim)
	if err != nil {
		return nil, err
	}
	count := uint32(1) << (r.bits - r.cluster.Bits())
	start := hash32(n.Name)
	for i := range count {
		cidr := r.at((start + i) % count).String()
		if _, taken := held[podRangeClaim+cidr]; taken {
			continue
		}
		n.Spec.PodCIDR, n.Spec.PodCIDRs = cidr, []string{cidr}
		return nodeClaims(n), nil
	}
	return nil, apierrors.NewInternalError(fmt.Errorf(
		"no pod range is left for node %q: all %d ranges of /%d in %s are taken; delete nodes that are gone or give the server a larger cluster range",
		n.Name, count, r.bits, r.cluster))
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
