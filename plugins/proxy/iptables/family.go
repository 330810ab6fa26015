package main

import (
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/coreos/go-iptables/iptables"
	"github.com/vishvananda/netlink"
)

// family is IPv4 or IPv6 in the words of iptables and the kernel.
type family struct {
	protocol      iptables.Protocol
	save, restore string
	bits          int
	loopback      string
	unreachable   string
	conntrack     netlink.InetFamily
	routes        int
}

func ipv4() family {
	return family{iptables.ProtocolIPv4, "iptables-save", "iptables-restore", 32, "127.0.0.0/8", "icmp-port-unreachable", netlink.InetFamily(netlink.FAMILY_V4), netlink.FAMILY_V4}
}

func ipv6() family {
	return family{iptables.ProtocolIPv6, "ip6tables-save", "ip6tables-restore", 128, "::1/128", "icmp6-port-unreachable", netlink.InetFamily(netlink.FAMILY_V6), netlink.FAMILY_V6}
}

// families are those to serve: IPv6 where services have addresses of it and the
// node speaks it. Addresses of a family that is not served are passed over.
func families(serviceCIDRs []string) []family {
	off, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/disable_ipv6")
	if err == nil && strings.TrimSpace(string(off)) == "0" && len(ipv6().own(serviceCIDRs)) > 0 {
		return []family{ipv4(), ipv6()}
	}
	return []family{ipv4()}
}

// is tells whether an address or a range is one of the family.
func (f family) is(address string) bool {
	host, _, _ := strings.Cut(address, "/")
	a, err := netip.ParseAddr(host)
	return err == nil && a.Is4() == (f.bits == 32)
}

// own picks the addresses or ranges of the family.
func (f family) own(addresses []string) []string {
	return slices.DeleteFunc(slices.Clone(addresses), func(a string) bool { return !f.is(a) })
}
