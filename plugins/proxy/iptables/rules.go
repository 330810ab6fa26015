package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/pintle-io/pintle/sdk/proxy"
)

// The chains that hang in the kernel's own ones.
const (
	servicesChain    = prefix + "SERVICES"
	nodePortsChain   = prefix + "NODEPORTS"
	markChain        = prefix + "MARK-MASQ"
	postroutingChain = prefix + "POSTROUTING"
	rejectChain      = prefix + "REJECT"
)

// ruleset is the wanted content of the two tables.
type ruleset struct{ nat, filter chains }

// cluster is what rules need to know beside the services.
type cluster struct {
	podCIDRs, serviceCIDRs []string
	// mark is the packet mark that asks for masquerading, "0x8000".
	mark string
}

// build makes the rules for a state. Errors are by service.
func build(c cluster, services map[string]*proxy.Service) (ruleset, map[string]string) {
	r := ruleset{nat: chains{}, filter: chains{}}
	failed := map[string]string{}
	for _, chain := range []string{servicesChain, nodePortsChain} {
		r.nat[chain] = nil
	}
	r.filter[rejectChain] = nil
	r.nat.add(markChain, "-j MARK --set-xmark", c.mark+"/"+c.mark)
	r.nat.add(postroutingChain, "-m mark ! --mark", c.mark+"/"+c.mark, "-j RETURN")
	r.nat.add(postroutingChain, "-j MARK --set-xmark", c.mark+"/"+c.mark)
	r.nat.add(postroutingChain, "-j MASQUERADE")
	for _, key := range slices.Sorted(maps.Keys(services)) {
		for _, port := range services[key].GetPorts() {
			if err := r.servicePort(c, key, services[key], port); err != nil {
				failed[key] = err.Error()
			}
		}
	}
	r.nat.add(servicesChain, "-m addrtype --dst-type LOCAL -j", nodePortsChain)
	for _, cidr := range c.serviceCIDRs {
		if v4(cidr) {
			r.reject("-d " + cidr)
		}
	}
	return r, failed
}

// reject answers at once: TCP with a reset, all else with an ICMP message.
func (r *ruleset) reject(match string) {
	r.filter.add(rejectChain, match, "-p tcp -j REJECT --reject-with tcp-reset")
	r.filter.add(rejectChain, match, "-j REJECT --reject-with icmp-port-unreachable")
}

// servicePort adds one port of one service under all of its addresses.
func (r *ruleset) servicePort(c cluster, key string, s *proxy.Service, p *proxy.Port) error {
	protocol := strings.ToLower(p.GetProtocol())
	if protocol == "" {
		protocol = "tcp"
	}
	if !slices.Contains([]string{"tcp", "udp", "sctp"}, protocol) {
		return fmt.Errorf("port %d: protocol %q is none of TCP, UDP and SCTP", p.GetPort(), p.GetProtocol())
	}
	id := key + ":" + p.GetName() + ":" + protocol + ":" + strconv.Itoa(int(p.GetPort()))
	all := usable(p.GetEndpoints(), false)
	local := usable(p.GetEndpoints(), true)
	inside, outside := all, all
	if s.GetInternalTrafficPolicy() == proxy.TrafficPolicyLocal {
		inside = local
	}
	if s.GetExternalTrafficPolicy() == proxy.TrafficPolicyLocal {
		outside = local
	}
	dport := fmt.Sprintf("--dport %d", p.GetPort())

	insideChain := r.balance(id, "SVC", protocol, s.GetAffinitySeconds(), inside)
	for _, ip := range v4s(s.GetClusterIps()) {
		match := fmt.Sprintf("-d %s/32 -p %s -m %s %s", ip, protocol, protocol, dport)
		if insideChain == "" {
			r.rejectPort(match, protocol)
			continue
		}
		for _, cidr := range c.podCIDRs {
			if v4(cidr) {
				// Clients beyond the pods' network would get answers from an
				// address that they did not ask.
				r.nat.add(servicesChain, "! -s", cidr, match, "-j", markChain)
				break
			}
		}
		r.nat.add(servicesChain, match, "-j", insideChain)
	}

	externals := append(v4s(s.GetExternalIps()), v4s(s.GetLoadBalancerIps())...)
	if len(externals) == 0 && p.GetNodePort() == 0 {
		return nil
	}
	outsideChain := ""
	if len(outside) > 0 {
		outsideChain = chainName("EXT", id)
		if s.GetExternalTrafficPolicy() != proxy.TrafficPolicyLocal {
			r.nat.add(outsideChain, "-j", markChain)
			r.nat.add(outsideChain, "-j", r.balance(id, "SVC", protocol, s.GetAffinitySeconds(), outside))
		} else {
			// What the node itself or its pods send may go anywhere.
			if anywhere := r.balance(id, "ALL", protocol, s.GetAffinitySeconds(), all); anywhere != "" {
				for _, cidr := range c.podCIDRs {
					if v4(cidr) {
						r.nat.add(outsideChain, "-s", cidr, "-j", anywhere)
					}
				}
				r.nat.add(outsideChain, "-m addrtype --src-type LOCAL -j", markChain)
				r.nat.add(outsideChain, "-m addrtype --src-type LOCAL -j", anywhere)
			}
			r.nat.add(outsideChain, "-j", r.balance(id, "SVL", protocol, s.GetAffinitySeconds(), outside))
		}
	}
	for _, ip := range externals {
		match := fmt.Sprintf("-d %s/32 -p %s -m %s %s", ip, protocol, protocol, dport)
		if outsideChain == "" {
			r.rejectPort(match, protocol)
			continue
		}
		r.nat.add(servicesChain, match, "-j", outsideChain)
	}
	if p.GetNodePort() != 0 {
		match := fmt.Sprintf("-p %s -m %s --dport %d", protocol, protocol, p.GetNodePort())
		if outsideChain == "" {
			r.rejectPort("-m addrtype --dst-type LOCAL "+match, protocol)
		} else {
			r.nat.add(nodePortsChain, match, "-j", outsideChain)
		}
	}
	return nil
}

func (r *ruleset) rejectPort(match, protocol string) {
	with := "icmp-port-unreachable"
	if protocol == "tcp" {
		with = "tcp-reset"
	}
	r.filter.add(rejectChain, match, "-j REJECT --reject-with", with)
}

// balance makes the chain that spreads connections over endpoints and returns
// its name, "" where there is none to go to.
func (r *ruleset) balance(id, kind, protocol string, affinity int32, endpoints []*proxy.Endpoint) string {
	if len(endpoints) == 0 {
		return ""
	}
	chain := chainName(kind, id)
	if _, made := r.nat[chain]; made {
		return chain
	}
	var targets []string
	for _, e := range endpoints {
		to := net.JoinHostPort(e.GetAddress(), strconv.Itoa(int(e.GetPort())))
		target := chainName("SEP", id+"|"+to)
		targets = append(targets, target)
		if _, made := r.nat[target]; made {
			continue
		}
		// A pod that reaches itself would see its own address as the client's.
		r.nat.add(target, "-s", e.GetAddress()+"/32 -j", markChain)
		if affinity > 0 {
			r.nat.add(target, "-m recent --name", target, "--set --rsource", "-p", protocol, "-m", protocol, "-j DNAT --to-destination", to)
		} else {
			r.nat.add(target, "-p", protocol, "-m", protocol, "-j DNAT --to-destination", to)
		}
	}
	r.nat[chain] = nil
	if affinity > 0 {
		for _, target := range targets {
			r.nat.add(chain, "-m recent --name", target, "--rcheck --seconds", strconv.Itoa(int(affinity)), "--reap --rsource -j", target)
		}
	}
	for i, target := range targets {
		if left := len(targets) - i; left > 1 {
			r.nat.add(chain, "-m statistic --mode random --probability", strconv.FormatFloat(1/float64(left), 'f', 10, 64), "-j", target)
		} else {
			r.nat.add(chain, "-j", target)
		}
	}
	return chain
}

// usable picks the endpoints that connections may go to: the ready ones or,
// where there is none, those that still serve while they end.
func usable(endpoints []*proxy.Endpoint, localOnly bool) []*proxy.Endpoint {
	var ready, ending []*proxy.Endpoint
	for _, e := range endpoints {
		switch {
		case localOnly && !e.GetLocal(), !v4(e.GetAddress()):
		case e.GetReady():
			ready = append(ready, e)
		case e.GetServingTerminating():
			ending = append(ending, e)
		}
	}
	if len(ready) == 0 {
		ready = ending
	}
	slices.SortFunc(ready, func(a, b *proxy.Endpoint) int {
		return cmp.Or(strings.Compare(a.GetAddress(), b.GetAddress()), cmp.Compare(a.GetPort(), b.GetPort()))
	})
	return ready
}

// chainName is stable for an id and within the 28 characters that a chain's
// name may have.
func chainName(kind, id string) string {
	sum := sha256.Sum256([]byte(id))
	return prefix + kind + "-" + base32.StdEncoding.EncodeToString(sum[:])[:16]
}

func v4(address string) bool {
	host, _, _ := strings.Cut(address, "/")
	ip := net.ParseIP(host)
	return ip != nil && ip.To4() != nil
}

func v4s(addresses []string) []string {
	return slices.DeleteFunc(slices.Clone(addresses), func(a string) bool { return !v4(a) })
}
