package main

import (
	"fmt"
	"net"

	"github.com/coreos/go-iptables/iptables"

	"github.com/pintle-io/pintle/sdk/errs"
)

// masqueradeChain holds the rules that give traffic of pods to the outside the
// node's address.
const masqueradeChain = "PINTLENET-MASQ"

// masquerade translates what pods send beyond the cluster, and nothing within.
func masquerade(podCIDRs, clusterCIDRs []string) error {
	ipt, err := iptables.New()
	if err != nil {
		return errs.FailedPrecondition("looking for iptables: %v", err).WithHint("install the package iptables")
	}
	exists, err := ipt.ChainExists("nat", masqueradeChain)
	if err == nil && !exists {
		err = ipt.NewChain("nat", masqueradeChain)
	}
	if err != nil {
		return fmt.Errorf("making the chain %s: %w", masqueradeChain, err)
	}
	var wanted [][]string
	for _, cidr := range clusterCIDRs {
		if isV4(cidr) {
			wanted = append(wanted, []string{"-d", cidr, "-j", "RETURN"})
		}
	}
	wanted = append(wanted, []string{"-d", "224.0.0.0/4", "-j", "RETURN"})
	for _, cidr := range podCIDRs {
		if isV4(cidr) {
			wanted = append(wanted, []string{"-s", cidr, "-j", "MASQUERADE"})
		}
	}
	have, err := ipt.List("nat", masqueradeChain)
	if err != nil {
		return fmt.Errorf("reading the chain %s: %w", masqueradeChain, err)
	}
	// The first line of a listing is the chain itself.
	if !sameRules(ipt, have, wanted) {
		if err := ipt.ClearChain("nat", masqueradeChain); err != nil {
			return fmt.Errorf("clearing the chain %s: %w", masqueradeChain, err)
		}
		for _, rule := range wanted {
			if err := ipt.Append("nat", masqueradeChain, rule...); err != nil {
				return fmt.Errorf("adding to the chain %s: %w", masqueradeChain, err)
			}
		}
	}
	if err := ipt.AppendUnique("nat", "POSTROUTING", "-j", masqueradeChain); err != nil {
		return fmt.Errorf("calling the chain %s: %w", masqueradeChain, err)
	}
	return nil
}

// sameRules tells whether the chain has the wanted rules already.
func sameRules(ipt *iptables.IPTables, have []string, wanted [][]string) bool {
	if len(have) != len(wanted)+1 {
		return false
	}
	for _, rule := range wanted {
		if ok, err := ipt.Exists("nat", masqueradeChain, rule...); err != nil || !ok {
			return false
		}
	}
	return true
}

func unmasquerade() error {
	ipt, err := iptables.New()
	if err != nil {
		return nil // Without iptables there is nothing of ours in it.
	}
	if err := ipt.DeleteIfExists("nat", "POSTROUTING", "-j", masqueradeChain); err != nil {
		return fmt.Errorf("removing the call of %s: %w", masqueradeChain, err)
	}
	if exists, err := ipt.ChainExists("nat", masqueradeChain); err != nil || !exists {
		return err
	}
	if err := ipt.ClearAndDeleteChain("nat", masqueradeChain); err != nil {
		return fmt.Errorf("removing the chain %s: %w", masqueradeChain, err)
	}
	return nil
}

func isV4(cidr string) bool {
	ip, _, err := net.ParseCIDR(cidr)
	return err == nil && ip.To4() != nil
}
