package registry

import (
	"fmt"
	"net/netip"
)

// Options are what the built-in kinds need to know of the cluster. The zero
// value of a field means its default.
type Options struct {
	// ServiceCIDR is the range of service addresses, 10.43.0.0/16. Its first
	// address is kept for the service "kubernetes" in "default".
	ServiceCIDR netip.Prefix
	// NodePorts is the range of node ports, 30000-32767.
	NodePorts PortRange
	// ClusterCIDR is the range that nodes get their pod ranges from, 10.44.0.0/14,
	// and NodeMaskSize the prefix length of a node's: 24, or 64 for IPv6.
	ClusterCIDR  netip.Prefix
	NodeMaskSize int
}

// PortRange is a range of ports with both ends in it.
type PortRange struct{ First, Last int32 }

// Contains tells whether the port lies in the range.
func (r PortRange) Contains(port int32) bool { return r.First <= port && port <= r.Last }

func (r PortRange) String() string { return fmt.Sprintf("%d-%d", r.First, r.Last) }

// withDefaults fills what is not set.
func (o Options) withDefaults() Options {
	if !o.ServiceCIDR.IsValid() {
		o.ServiceCIDR = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 43, 0, 0}), 16)
	}
	if o.NodePorts == (PortRange{}) {
		o.NodePorts = PortRange{First: 30000, Last: 32767}
	}
	if !o.ClusterCIDR.IsValid() {
		o.ClusterCIDR = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 44, 0, 0}), 14)
	}
	if o.NodeMaskSize == 0 {
		o.NodeMaskSize = 24
		if o.ClusterCIDR.Addr().Is6() {
			o.NodeMaskSize = 64
		}
	}
	o.ServiceCIDR = o.ServiceCIDR.Masked()
	o.ClusterCIDR = o.ClusterCIDR.Masked()
	return o
}

// Validate says what is wrong with the options, defaults filled in.
func (o Options) Validate() error {
	o = o.withDefaults()
	if o.ServiceCIDR.Addr().BitLen()-o.ServiceCIDR.Bits() < 3 {
		return fmt.Errorf("service range %s is too small: it needs at least 8 addresses", o.ServiceCIDR)
	}
	if o.ServiceCIDR.Overlaps(o.ClusterCIDR) {
		return fmt.Errorf("service range %s and pod range %s overlap: choose ranges apart", o.ServiceCIDR, o.ClusterCIDR)
	}
	if o.NodePorts.First < 1 || o.NodePorts.Last > 65535 || o.NodePorts.First > o.NodePorts.Last {
		return fmt.Errorf("node port range %s is not within 1-65535", o.NodePorts)
	}
	if o.NodeMaskSize < o.ClusterCIDR.Bits() || o.NodeMaskSize > o.ClusterCIDR.Addr().BitLen()-2 {
		return fmt.Errorf("a node's pod range of /%d does not fit into the pod range %s: choose a length between %d and %d",
			o.NodeMaskSize, o.ClusterCIDR, o.ClusterCIDR.Bits(), o.ClusterCIDR.Addr().BitLen()-2)
	}
	if bits := o.NodeMaskSize - o.ClusterCIDR.Bits(); bits > 16 {
		return fmt.Errorf("pod range %s holds 2^%d node ranges of /%d: choose a smaller range or a larger node range, at most 2^16", o.ClusterCIDR, bits, o.NodeMaskSize)
	}
	return nil
}

// Builtin lists the kinds that every server has. The options must be valid.
func Builtin(o Options) []*Kind {
	o = o.withDefaults()
	return []*Kind{
		configMapKind(),
		endpointsKind(),
		endpointSliceKind(),
		eventKind(),
		leaseKind(),
		namespaceKind(),
		nodeKind(o),
		pluginKind(),
		podKind(),
		replicaSetKind(),
		replicationControllerKind(),
		secretKind(),
		serviceKind(o),
		serviceAccountKind(),
	}
}
