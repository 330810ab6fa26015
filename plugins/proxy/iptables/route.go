package main

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/sdk/errs"
)

// routeProtocol marks the routes that are ours, see rtnetlink(7).
const routeProtocol netlink.RouteProtocol = 113

// route gives service addresses a route that leads nowhere: on a node without a
// default route a local client would be refused before the translation is
// looked up, and on one with it an address that no service holds would leave.
func (p *proxier) route() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("looking for the loopback link: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bringing the loopback link up: %w", err)
	}
	for _, cidr := range p.cluster.serviceCIDRs {
		_, dst, err := net.ParseCIDR(cidr)
		if err != nil {
			return errs.InvalidArgument("service range %q: %v", cidr, err)
		}
		for _, t := range p.tables {
			if !t.is(cidr) {
				continue
			}
			route := &netlink.Route{Dst: dst, LinkIndex: lo.Attrs().Index, Protocol: routeProtocol, Scope: netlink.SCOPE_LINK, Src: t.source(p.node)}
			if err := netlink.RouteReplace(route); err != nil {
				return fmt.Errorf("adding the route for service addresses %s: %w", cidr, err)
			}
		}
	}
	return nil
}

// source is the address that the node's own connections to services come from:
// the first of the node's that this machine has, so not one that only a
// translation elsewhere knows. nil leaves it to the kernel.
func (f family) source(node []string) net.IP {
	held, err := netlink.AddrList(nil, f.routes)
	if err != nil {
		return nil
	}
	for _, a := range f.own(node) {
		ip := net.ParseIP(a)
		if slices.ContainsFunc(held, func(h netlink.Addr) bool { return h.IP.Equal(ip) }) {
			return ip
		}
	}
	return nil
}

// unroute removes the routes of service addresses.
func unroute() error {
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Protocol: routeProtocol}, netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return fmt.Errorf("listing the routes of service addresses: %w", err)
	}
	for _, r := range routes {
		if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("removing the route of service addresses %s: %w", r.Dst, err)
		}
	}
	return nil
}
