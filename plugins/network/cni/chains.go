package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/coreos/go-iptables/iptables"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/network"
)

// chain is one of ours with its call from one of the kernel's.
type chain struct {
	table, name, caller string
	rules               [][]string
}

// Our chains. Their prefix is not the proxy's: each removes its own alone.
const (
	masqueradeChain = "PINTLENET-MASQ"
	forwardChain    = "PINTLENET-FORWARD"
)

// chainsOf are the rules that pods of one family need: what they send beyond
// the cluster gets the node's address, and nothing within does; and where the
// machine's policy is to forward nothing, as container engines set it, what
// pods send and get is forwarded all the same, unless an earlier rule of the
// operator's decides otherwise.
func chainsOf(node *network.NodeInfo, family iptables.Protocol) []chain {
	mine := func(cidr string) bool { return isV4(cidr) == (family == iptables.ProtocolIPv4) }
	masquerade := chain{table: "nat", name: masqueradeChain, caller: "POSTROUTING"}
	forward := chain{table: "filter", name: forwardChain, caller: "FORWARD"}
	for _, cidr := range slices.Concat(node.GetClusterCidrs(), node.GetServiceCidrs()) {
		if mine(cidr) {
			masquerade.rules = append(masquerade.rules, []string{"-d", cidr, "-j", "RETURN"})
		}
	}
	multicast := "224.0.0.0/4"
	if family == iptables.ProtocolIPv6 {
		multicast = "ff00::/8"
	}
	masquerade.rules = append(masquerade.rules, []string{"-d", multicast, "-j", "RETURN"})
	for _, cidr := range node.GetPodCidrs() {
		if mine(cidr) {
			masquerade.rules = append(masquerade.rules, []string{"-s", cidr, "-j", "MASQUERADE"})
			forward.rules = append(forward.rules, []string{"-s", cidr, "-j", "ACCEPT"}, []string{"-d", cidr, "-j", "ACCEPT"})
		}
	}
	return []chain{masquerade, forward}
}

// putChains puts the rules of a node in force.
func putChains(node *network.NodeInfo) error {
	families := []iptables.Protocol{iptables.ProtocolIPv4}
	if haveIPv6() && slices.ContainsFunc(node.GetPodCidrs(), func(cidr string) bool { return !isV4(cidr) }) {
		families = append(families, iptables.ProtocolIPv6)
	}
	for _, family := range families {
		ipt, err := iptables.NewWithProtocol(family)
		if err != nil {
			return errs.FailedPrecondition("looking for iptables: %v", err).WithHint("install the package iptables")
		}
		for _, c := range chainsOf(node, family) {
			if err := c.put(ipt); err != nil {
				return errs.Unavailable("putting the chain %s in force: %v", c.name, err)
			}
		}
	}
	return nil
}

func (c chain) put(ipt *iptables.IPTables) error {
	exists, err := ipt.ChainExists(c.table, c.name)
	if err == nil && !exists {
		err = ipt.NewChain(c.table, c.name)
	}
	if err != nil {
		return err
	}
	have, err := ipt.List(c.table, c.name)
	if err != nil {
		return err
	}
	if !c.same(ipt, have) {
		if err := ipt.ClearChain(c.table, c.name); err != nil {
			return err
		}
		for _, rule := range c.rules {
			if err := ipt.Append(c.table, c.name, rule...); err != nil {
				return err
			}
		}
	}
	return ipt.AppendUnique(c.table, c.caller, "-j", c.name)
}

// same tells whether the chain has its rules already; the first line of a
// listing is the chain itself.
func (c chain) same(ipt *iptables.IPTables, have []string) bool {
	return len(have) == len(c.rules)+1 && !slices.ContainsFunc(c.rules, func(rule []string) bool {
		ok, err := ipt.Exists(c.table, c.name, rule...)
		return err != nil || !ok
	})
}

// removeChains removes our chains of both families.
func removeChains() error {
	return eachFamily(func(ipt *iptables.IPTables) error {
		return errors.Join(
			remove(ipt, "nat", masqueradeChain, "POSTROUTING"),
			remove(ipt, "filter", forwardChain, "FORWARD"),
		)
	})
}

// removePortmapChains removes what the CNI plugin portmap keeps for host ports
// of all networks, where no host port is left.
func removePortmapChains() error {
	const entry, mark, masquerade = "CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-SETMARK", "CNI-HOSTPORT-MASQ"
	return eachFamily(func(ipt *iptables.IPTables) error {
		chains, err := ipt.ListChains("nat")
		if err != nil || !slices.Contains(chains, entry) {
			return err
		}
		rules, err := ipt.List("nat", entry)
		if err != nil || len(rules) > 1 || slices.ContainsFunc(chains, func(c string) bool { return strings.HasPrefix(c, "CNI-DN-") }) {
			return err // Somebody else's are left.
		}
		return errors.Join(
			remove(ipt, "nat", entry, "PREROUTING", "OUTPUT"),
			remove(ipt, "nat", masquerade, "POSTROUTING"),
			remove(ipt, "nat", mark),
		)
	})
}

// eachFamily calls f for what the machine has: without iptables there is
// nothing of ours in it.
func eachFamily(f func(*iptables.IPTables) error) error {
	var failed error
	for _, family := range []iptables.Protocol{iptables.ProtocolIPv4, iptables.ProtocolIPv6} {
		if family == iptables.ProtocolIPv6 && !haveIPv6() {
			continue
		}
		if ipt, err := iptables.NewWithProtocol(family); err == nil {
			failed = errors.Join(failed, f(ipt))
		}
	}
	return failed
}

// remove removes a chain and every rule of its callers that calls it, whatever
// the rule matches.
func remove(ipt *iptables.IPTables, table, name string, callers ...string) error {
	exists, err := ipt.ChainExists(table, name)
	if err != nil {
		return fmt.Errorf("looking for the chain %s: %w", name, err)
	}
	if !exists {
		return nil
	}
	for _, caller := range callers {
		if err := removeCalls(ipt, table, name, caller); err != nil {
			return fmt.Errorf("removing the call of %s from %s: %w", name, caller, err)
		}
	}
	if err := ipt.ClearAndDeleteChain(table, name); err != nil {
		return fmt.Errorf("removing the chain %s: %w", name, err)
	}
	return nil
}

func removeCalls(ipt *iptables.IPTables, table, name, caller string) error {
	rules, err := ipt.List(table, caller)
	if err != nil {
		return err
	}
	// From the end, so that numbers of earlier rules stay; the first line is
	// the chain itself.
	for i, rule := range slices.Backward(rules) {
		words := strings.Fields(rule)
		if i > 0 && len(words) > 1 && words[len(words)-2] == "-j" && words[len(words)-1] == name {
			if err := ipt.DeleteById(table, caller, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// isV4 tells whether an address or a range is one of IPv4.
func isV4(address string) bool {
	host, _, _ := strings.Cut(address, "/")
	ip := net.ParseIP(host)
	return ip != nil && ip.To4() != nil
}
