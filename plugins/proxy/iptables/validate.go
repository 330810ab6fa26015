package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/pintle-io/pintle/sdk/proxy"
)

// valid picks the services that rules can be made for, and says what is wrong
// with the others: one line that iptables refuses would hold up all services.
func valid(services map[string]*proxy.Service) (good map[string]*proxy.Service, failed map[string]string) {
	good, failed = make(map[string]*proxy.Service, len(services)), map[string]string{}
	for key, s := range services {
		if err := validate(s); err != nil {
			failed[key] = err.Error()
			continue
		}
		good[key] = s
	}
	return good, failed
}

func validate(s *proxy.Service) error {
	for _, ip := range slices.Concat(s.GetClusterIps(), s.GetExternalIps(), s.GetLoadBalancerIps()) {
		if _, err := netip.ParseAddr(ip); err != nil {
			return fmt.Errorf("%q is not an IP address", ip)
		}
	}
	if s.GetAffinitySeconds() < 0 {
		return fmt.Errorf("the affinity is %d seconds", s.GetAffinitySeconds())
	}
	for _, p := range s.GetPorts() {
		if !slices.Contains([]string{"tcp", "udp", "sctp"}, protocolOf(p)) {
			return fmt.Errorf("port %d: protocol %q is none of TCP, UDP and SCTP", p.GetPort(), p.GetProtocol())
		}
		if !isPort(p.GetPort()) || p.GetNodePort() != 0 && !isPort(p.GetNodePort()) {
			return fmt.Errorf("port %d with node port %d is not between 1 and 65535", p.GetPort(), p.GetNodePort())
		}
		for _, e := range p.GetEndpoints() {
			if _, err := netip.ParseAddr(e.GetAddress()); err != nil || !isPort(e.GetPort()) {
				return fmt.Errorf("port %d: %q with port %d is not an endpoint", p.GetPort(), e.GetAddress(), e.GetPort())
			}
		}
	}
	return nil
}

func isPort(n int32) bool { return n >= 1 && n <= 65535 }

// protocolOf is the transport in the words of iptables, TCP where none is said.
func protocolOf(p *proxy.Port) string {
	if p.GetProtocol() == "" {
		return "tcp"
	}
	return strings.ToLower(p.GetProtocol())
}
