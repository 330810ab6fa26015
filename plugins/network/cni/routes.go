package main

import (
	"errors"
	"fmt"
	"net"
	"os"

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

func enableForwarding() error {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return errs.FailedPrecondition("enabling IP forwarding: %v", err)
	}
	return nil
}

// rejectUnheld keeps packets to pod addresses that nobody holds from taking the
// default route.
func rejectUnheld(cidrs []string) error {
	for _, cidr := range cidrs {
		_, dst, err := net.ParseCIDR(cidr)
		if err != nil {
			return errs.InvalidArgument("pod range %q: %v", cidr, err)
		}
		route := &netlink.Route{Dst: dst, Type: unix.RTN_UNREACHABLE, Protocol: protocol, Priority: rejectMetric}
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("adding the route that rejects %s: %w", cidr, err)
		}
	}
	return nil
}

// setNodeRoutes makes the routes to other nodes' pods exactly these. Nodes that
// can't be reached are in the answer with the reason, and hold up no others.
func setNodeRoutes(nodes []*network.NodeRoute) (failed map[string]string, err error) {
	failed = map[string]string{}
	wanted := map[string]net.IP{}
	for _, node := range nodes {
		if err := addNodeRoutes(node, wanted); err != nil {
			failed[node.GetName()] = err.Error()
		}
	}
	routes, err := ownRoutes()
	if err != nil {
		return failed, err
	}
	for _, r := range routes {
		if r.Type == unix.RTN_UNREACHABLE || r.Dst == nil {
			continue
		}
		if via, ok := wanted[r.Dst.String()]; !ok || !via.Equal(r.Gw) {
			if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
				return failed, errs.Unavailable("removing the old route to %s: %v", r.Dst, err)
			}
		}
	}
	return failed, nil
}

// addNodeRoutes puts the routes to one node's pods in force, and notes them.
func addNodeRoutes(node *network.NodeRoute, wanted map[string]net.IP) error {
	if len(node.GetAddresses()) == 0 || len(node.GetPodCidrs()) == 0 {
		return nil // Not known yet.
	}
	via := net.ParseIP(node.GetAddresses()[0])
	if via == nil {
		return errs.InvalidArgument("address %q is not an IP address", node.GetAddresses()[0])
	}
	for _, cidr := range node.GetPodCidrs() {
		_, dst, err := net.ParseCIDR(cidr)
		if err != nil {
			return errs.InvalidArgument("pod range %q: %v", cidr, err)
		}
		if err := netlink.RouteReplace(&netlink.Route{Dst: dst, Gw: via, Protocol: protocol}); err != nil {
			return fmt.Errorf("adding the route to %s by %s, which must be on a network of this node: %w", cidr, via, err)
		}
		wanted[dst.String()] = via
	}
	return nil
}

func ownRoutes() ([]netlink.Route, error) {
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Protocol: protocol}, netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return nil, fmt.Errorf("listing the node's routes: %w", err)
	}
	return routes, nil
}

func leave() error {
	routes, err := ownRoutes()
	if err != nil {
		return err
	}
	for _, r := range routes {
		if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("removing the route to %s: %w", r.Dst, err)
		}
	}
	return unmasquerade()
}
