package main

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/sdk/proxy"
)

// frontend is where UDP clients send: a service's address and port, or a port
// of the node, then without an address.
type frontend struct {
	address netip.Addr
	port    uint16
}

// udpEndpoints are the endpoints behind the frontends of one family.
type udpEndpoints map[frontend]map[netip.AddrPort]bool

// udpOf lists what UDP of services may go to.
func udpOf(f family, services map[string]*proxy.Service) udpEndpoints {
	all := udpEndpoints{}
	for _, s := range services {
		for _, p := range s.GetPorts() {
			if protocolOf(p) != "udp" {
				continue
			}
			targets := map[netip.AddrPort]bool{}
			for _, localOnly := range []bool{false, true} {
				for _, e := range usable(f, p.GetEndpoints(), localOnly) {
					targets[netip.AddrPortFrom(netip.MustParseAddr(e.GetAddress()), uint16(e.GetPort()))] = true
				}
			}
			for _, ip := range f.own(slices.Concat(s.GetClusterIps(), s.GetExternalIps(), s.GetLoadBalancerIps())) {
				all[frontend{netip.MustParseAddr(ip), uint16(p.GetPort())}] = targets
			}
			if p.GetNodePort() != 0 {
				all[frontend{port: uint16(p.GetNodePort())}] = targets
			}
		}
	}
	return all
}

// changed tells whether flows of before may lead where they should not: to an
// endpoint that is gone, or past a service that has got endpoints.
func (before udpEndpoints) changed(after udpEndpoints) bool {
	for at, old := range before {
		for e := range old {
			if !after[at][e] {
				return true
			}
		}
	}
	for at, now := range after {
		if len(now) > 0 && len(before[at]) == 0 {
			return true
		}
	}
	return false
}

// staleFlows matches what the kernel remembers of UDP clients that must be
// translated anew. TCP needs none of it: a client of an endpoint that is gone
// finds out and connects again.
type staleFlows struct {
	before, after udpEndpoints
	// services are the service ranges: at an address in them that no service
	// holds every flow is stale.
	services []netip.Prefix
}

// MatchConntrackFlow is netlink.CustomConntrackFilter.
func (s staleFlows) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	if flow.Forward.Protocol != unix.IPPROTO_UDP {
		return false
	}
	asked, ok := netip.AddrFromSlice(flow.Forward.DstIP)
	if !ok {
		return false
	}
	answers, ok := netip.AddrFromSlice(flow.Reverse.SrcIP)
	if !ok {
		return false
	}
	asked, answers = asked.Unmap(), answers.Unmap()
	target := netip.AddrPortFrom(answers, flow.Reverse.SrcPort)
	at := frontend{asked, flow.Forward.DstPort}
	if targets, held := s.after[at]; held {
		return !targets[target]
	}
	if _, held := s.before[at]; held || slices.ContainsFunc(s.services, func(p netip.Prefix) bool { return p.Contains(asked) }) {
		return true
	}
	if answers == asked {
		return false // Not translated: no client of a node port.
	}
	at = frontend{port: flow.Forward.DstPort}
	if targets, held := s.after[at]; held {
		return !targets[target]
	}
	_, held := s.before[at]
	return held
}

// forgetStale makes the kernel forget stale flows.
func forgetStale(f family, s staleFlows) error {
	if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, f.conntrack, s); err != nil {
		return fmt.Errorf("removing stale UDP flows: %w", err)
	}
	return nil
}
