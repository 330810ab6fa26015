package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/network"
)

// protocol marks the routes that are ours, see rtnetlink(7): any number above
// RTPROT_STATIC (4) that the common routing daemons leave free.
const protocol netlink.RouteProtocol = 112

// Routes that reject have the highest metric, so that any real route wins.
const rejectMetric = 0x7fffffff

func enableForwarding(ranges []string) error {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return errs.FailedPrecondition("enabling IP forwarding: %v", err)
	}
	if haveIPv6() && slices.ContainsFunc(ranges, func(cidr string) bool { return !isV4(cidr) }) {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0); err != nil {
			return errs.FailedPrecondition("enabling IPv6 forwarding: %v", err)
		}
	}
	return nil
}

// noRedirects keeps the node from telling pods of a shorter way to what hangs on
// the same link, as it would to one that reaches itself by its service or host
// port: there is none, and the kernel's limit for ICMP to one address would hold
// up the messages that say that nobody has a port. A link sends redirects where
// either its own setting or that of all says so; all others keep their own.
func noRedirects(result any) error {
	r, ok := result.(*types100.Result)
	if !ok {
		return nil
	}
	settings := []string{"all"}
	for _, i := range r.Interfaces {
		if link, err := netlink.LinkByName(i.Name); i.Sandbox == "" && err == nil && link.Type() == "veth" {
			settings = append(settings, i.Name)
		}
	}
	for _, s := range settings {
		if err := os.WriteFile(filepath.Join("/proc/sys/net/ipv4/conf", s, "send_redirects"), []byte("0"), 0); err != nil {
			return fmt.Errorf("turning ICMP redirects of %s off: %w", s, err)
		}
	}
	return nil
}

// haveIPv6 tells whether the node speaks IPv6; ranges of it are left out where
// it does not.
func haveIPv6() bool {
	off, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/disable_ipv6")
	return err == nil && strings.TrimSpace(string(off)) == "0"
}

// nodeMTU is that of the link that has one of the node's addresses; 0, by which
// the kernel's default is meant, where there is none.
func nodeMTU(addresses []string) int {
	for _, a := range addresses {
		ip := net.ParseIP(a)
		held, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
		if err != nil || ip == nil {
			continue
		}
		for _, h := range held {
			if !h.IP.Equal(ip) || ip.IsLoopback() {
				continue
			}
			if link, err := netlink.LinkByIndex(h.LinkIndex); err == nil && link.Attrs().Flags&net.FlagLoopback == 0 {
				return link.Attrs().MTU
			}
		}
	}
	return 0
}

// rejectUnheld keeps packets to pod addresses that nobody holds from taking the
// default route, in exactly these ranges.
func rejectUnheld(cidrs []string) error {
	wanted := map[string]bool{}
	for _, cidr := range cidrs {
		_, dst, err := net.ParseCIDR(cidr)
		if err != nil {
			return errs.InvalidArgument("pod range %q: %v", cidr, err)
		}
		if !isV4(cidr) && !haveIPv6() {
			continue
		}
		wanted[dst.String()] = true
		route := &netlink.Route{Dst: dst, Type: unix.RTN_UNREACHABLE, Protocol: protocol, Priority: rejectMetric}
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("adding the route that rejects %s: %w", cidr, err)
		}
	}
	return removeOwnRoutes(func(r netlink.Route) bool {
		return r.Type == unix.RTN_UNREACHABLE && !wanted[r.Dst.String()]
	})
}

// setNodeRoutes makes the routes to other nodes' pods exactly these. Nodes that
// can't be reached are in the answer with the reason, and hold up no others.
func setNodeRoutes(nodes []*network.NodeRoute, own []string) (failed map[string]string, err error) {
	failed = map[string]string{}
	wanted := map[string]net.IP{}
	for _, node := range nodes {
		if err := addNodeRoutes(node, own, wanted); err != nil {
			failed[node.GetName()] = err.Error()
		}
	}
	return failed, removeOwnRoutes(func(r netlink.Route) bool {
		if r.Type == unix.RTN_UNREACHABLE {
			return false
		}
		via, ok := wanted[r.Dst.String()]
		return !ok || !via.Equal(r.Gw)
	})
}

// addNodeRoutes puts the routes to one node's pods in force, and notes them.
func addNodeRoutes(node *network.NodeRoute, own []string, wanted map[string]net.IP) error {
	if len(node.GetAddresses()) == 0 {
		return nil // Not known yet.
	}
	for _, a := range node.GetAddresses() {
		if net.ParseIP(a) == nil {
			return errs.InvalidArgument("address %q is not an IP address", a)
		}
	}
	for _, cidr := range node.GetPodCidrs() {
		_, dst, err := net.ParseCIDR(cidr)
		if err != nil {
			return errs.InvalidArgument("pod range %q: %v", cidr, err)
		}
		if slices.ContainsFunc(own, func(o string) bool { return overlap(dst, o) }) {
			return errs.InvalidArgument("pod range %s overlaps this node's own", cidr)
		}
		if other, taken := wanted[dst.String()]; taken {
			return errs.InvalidArgument("pod range %s is also that of the node at %s", cidr, other)
		}
		sameFamily := func(a string) bool { return isV4(a) == isV4(cidr) }
		i := slices.IndexFunc(node.GetAddresses(), sameFamily)
		if i < 0 {
			if isV4(cidr) {
				return errs.InvalidArgument("no address of its is of the family of its pod range %s", cidr)
			}
			continue // Pods of one family are reached all the same.
		}
		via := net.ParseIP(node.GetAddresses()[i])
		if err := netlink.RouteReplace(&netlink.Route{Dst: dst, Gw: via, Protocol: protocol}); err != nil {
			return fmt.Errorf("adding the route to %s by %s, which must be on a network of this node: %w", cidr, via, err)
		}
		wanted[dst.String()] = via
	}
	return nil
}

func overlap(a *net.IPNet, cidr string) bool {
	_, b, err := net.ParseCIDR(cidr)
	return err == nil && (a.Contains(b.IP) || b.Contains(a.IP))
}

// removeOwnRoutes removes those of our routes that match.
func removeOwnRoutes(match func(netlink.Route) bool) error {
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Protocol: protocol}, netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return errs.Unavailable("listing the node's routes: %v", err)
	}
	for _, r := range routes {
		if r.Dst == nil || !match(r) {
			continue
		}
		if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			return errs.Unavailable("removing the route to %s: %v", r.Dst, err)
		}
	}
	return nil
}

// removeRoutes removes all routes of ours.
func removeRoutes() error {
	return removeOwnRoutes(func(netlink.Route) bool { return true })
}
