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
	// strangersChain marks what no pod sends.
	strangersChain = prefix + "STRANGERS"
	// canaryChain is called by nobody: where its rule is gone, so are others.
	canaryChain = prefix + "CANARY"
)

// ruleset is the wanted content of the two tables of one family.
type ruleset struct {
	nat, filter chains
	family      family
}

// cluster is what rules need to know beside the services.
type cluster struct {
	podCIDRs, serviceCIDRs []string
	// mark is the packet mark that asks for masquerading, "0x8000".
	mark string
}

// build makes the rules of one family for services that are valid.
func build(c cluster, f family, services map[string]*proxy.Service) ruleset {
	r := ruleset{nat: chains{}, filter: chains{}, family: f}
	for _, chain := range []string{servicesChain, nodePortsChain} {
		r.nat[chain] = nil
	}
	for _, table := range []chains{r.nat, r.filter} {
		table.add(canaryChain, "-j RETURN")
	}
	r.filter.add(rejectChain, "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN")
	r.nat.add(markChain, "-j MARK --set-xmark", c.mark+"/"+c.mark)
	r.nat.add(postroutingChain, "-m mark ! --mark", c.mark+"/"+c.mark, "-j RETURN")
	r.nat.add(postroutingChain, "-j MARK --set-xmark", c.mark+"/"+c.mark)
	r.nat.add(postroutingChain, "-j MASQUERADE")
	for _, cidr := range f.own(c.podCIDRs) {
		r.nat.add(strangersChain, "-s", cidr, "-j RETURN")
	}
	if _, known := r.nat[strangersChain]; known {
		r.nat.add(strangersChain, "-j", markChain)
	}
	for _, key := range slices.Sorted(maps.Keys(services)) {
		for _, port := range services[key].GetPorts() {
			r.servicePort(c, key, services[key], port)
		}
	}
	// A connection from a loopback address can't leave the node, translated or
	// not.
	r.nat.add(servicesChain, "! -d", f.loopback, "-m addrtype --dst-type LOCAL -j", nodePortsChain)
	for _, cidr := range f.own(c.serviceCIDRs) {
		r.reject("-d " + cidr)
	}
	return r
}

// reject answers at once: TCP with a reset, all else with an ICMP message.
func (r *ruleset) reject(match string) {
	r.filter.add(rejectChain, match, "-p tcp -j REJECT --reject-with tcp-reset")
	r.filter.add(rejectChain, match, "-j REJECT --reject-with", r.family.unreachable)
}

// servicePort adds one port of one service under all of its addresses.
func (r *ruleset) servicePort(c cluster, key string, s *proxy.Service, p *proxy.Port) {
	f := r.family
	protocol := protocolOf(p)
	id := key + ":" + p.GetName() + ":" + protocol + ":" + strconv.Itoa(int(p.GetPort()))
	local := s.GetExternalTrafficPolicy() == proxy.TrafficPolicyLocal
	at := func(ip string) string {
		return fmt.Sprintf("-d %s/%d -p %s -m %s --dport %d", ip, f.bits, protocol, protocol, p.GetPort())
	}

	for _, ip := range f.own(s.GetClusterIps()) {
		chain := r.balance(id, s, p, s.GetInternalTrafficPolicy() == proxy.TrafficPolicyLocal)
		if chain == "" {
			r.rejectPort(at(ip), protocol)
			continue
		}
		if _, known := r.nat[strangersChain]; known {
			// Clients beyond the pods' network would get answers from an
			// address that they did not ask.
			r.nat.add(servicesChain, at(ip), "-j", strangersChain)
		}
		r.nat.add(servicesChain, at(ip), "-j", chain)
	}

	externals := f.own(slices.Concat(s.GetExternalIps(), s.GetLoadBalancerIps()))
	if len(externals) == 0 && p.GetNodePort() == 0 {
		return
	}
	chain, rejects := r.external(c, id, s, p, local)
	for _, ip := range externals {
		if chain != "" {
			r.nat.add(servicesChain, at(ip), "-j", chain)
		}
		if rejects {
			r.rejectPort(at(ip), protocol)
		}
	}
	if p.GetNodePort() != 0 {
		match := fmt.Sprintf("-p %s -m %s --dport %d", protocol, protocol, p.GetNodePort())
		if chain != "" {
			r.nat.add(nodePortsChain, match, "-j", chain)
		}
		if rejects {
			r.rejectPort("-m addrtype --dst-type LOCAL "+match, protocol)
		}
	}
}

// external makes the chain for what arrives at addresses outside the cluster's
// ranges; rejects says that something of it is left that goes nowhere.
func (r *ruleset) external(c cluster, id string, s *proxy.Service, p *proxy.Port, local bool) (chain string, rejects bool) {
	all := r.balance(id, s, p, false)
	if all == "" {
		return "", true
	}
	chain = chainName("EXT", id)
	if !local {
		r.nat.add(chain, "-j", markChain)
		r.nat.add(chain, "-j", all)
		return chain, false
	}
	// What the node itself or its pods send may go anywhere.
	for _, cidr := range r.family.own(c.podCIDRs) {
		r.nat.add(chain, "-s", cidr, "-j", all)
	}
	r.nat.add(chain, "-m addrtype --src-type LOCAL -j", markChain)
	r.nat.add(chain, "-m addrtype --src-type LOCAL -j", all)
	here := r.balance(id, s, p, true)
	if here != "" {
		r.nat.add(chain, "-j", here)
	}
	return chain, here == ""
}

func (r *ruleset) rejectPort(match, protocol string) {
	with := r.family.unreachable
	if protocol == "tcp" {
		with = "tcp-reset"
	}
	r.filter.add(rejectChain, match, "-j REJECT --reject-with", with)
}

// balance makes the chain that spreads connections over the endpoints of a
// port, all or those on this node, and returns its name, "" where there is none
// to go to.
func (r *ruleset) balance(id string, s *proxy.Service, p *proxy.Port, localOnly bool) string {
	endpoints := usable(r.family, p.GetEndpoints(), localOnly)
	if len(endpoints) == 0 {
		return ""
	}
	kind := "SVC"
	if localOnly {
		kind = "SVL"
	}
	chain := chainName(kind, id)
	if _, made := r.nat[chain]; made {
		return chain
	}
	protocol, affinity := protocolOf(p), s.GetAffinitySeconds()
	var targets []string
	for _, e := range endpoints {
		to := net.JoinHostPort(e.GetAddress(), strconv.Itoa(int(e.GetPort())))
		target := chainName("SEP", id+"|"+to)
		targets = append(targets, target)
		if _, made := r.nat[target]; made {
			continue
		}
		// A pod that reaches itself would see its own address as the client's.
		r.nat.add(target, fmt.Sprintf("-s %s/%d -j", e.GetAddress(), r.family.bits), markChain)
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
func usable(f family, endpoints []*proxy.Endpoint, localOnly bool) []*proxy.Endpoint {
	var ready, ending []*proxy.Endpoint
	for _, e := range endpoints {
		switch {
		case localOnly && !e.GetLocal(), !f.is(e.GetAddress()):
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
