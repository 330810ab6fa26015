package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os/exec"
	"strings"

	"github.com/coreos/go-iptables/iptables"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/proxy"
)

// hook is a call of one of our chains from one of the kernel's.
type hook struct{ table, chain, target string }

var hooks = []hook{
	{"nat", "PREROUTING", servicesChain},
	{"nat", "OUTPUT", servicesChain},
	{"nat", "POSTROUTING", postroutingChain},
	{"filter", "INPUT", rejectChain},
	{"filter", "FORWARD", rejectChain},
	{"filter", "OUTPUT", rejectChain},
}

// proxier is the plugin. What it remembers of the kernel's rules is only to
// write less; a Sync with All set finds it out anew.
type proxier struct {
	cluster cluster
	node    []string
	tables  []*tables
	// inForce says that the rules are known and called from the kernel's
	// chains.
	inForce bool
}

// tables are those of one family.
type tables struct {
	family
	ipt     *iptables.IPTables
	applied ruleset
	udp     udpEndpoints
}

var (
	_ plugin.Configurer = (*proxier)(nil)
	_ proxy.Verifier    = (*proxier)(nil)
)

func (p *proxier) Configure(_ context.Context, req *plugin.ConfigureRequest) error {
	config := struct {
		MasqueradeBit uint `json:"masqueradeBit"`
	}{MasqueradeBit: 15}
	if err := plugin.DecodeConfig(req, &config); err != nil {
		return err
	}
	if config.MasqueradeBit > 31 {
		return errs.InvalidArgument("masqueradeBit %d is not between 0 and 31", config.MasqueradeBit)
	}
	p.cluster = cluster{
		podCIDRs: req.GetNode().GetClusterCidrs(), serviceCIDRs: req.GetNode().GetServiceCidrs(),
		mark: fmt.Sprintf("0x%x", 1<<config.MasqueradeBit),
	}
	p.node = req.GetNode().GetAddresses()
	p.tables = nil
	for _, f := range families(p.cluster.serviceCIDRs) {
		ipt, err := iptables.NewWithProtocol(f.protocol)
		if err != nil {
			return errs.FailedPrecondition("looking for iptables: %v", err).WithHint("install the package iptables")
		}
		p.tables = append(p.tables, &tables{family: f, ipt: ipt})
	}
	return p.route()
}

func (p *proxier) Sync(ctx context.Context, state *proxy.State) (*proxy.Result, error) {
	services, failed := valid(state.Services)
	whole := state.All || !p.inForce
	if whole {
		if err := p.route(); err != nil {
			return nil, err
		}
	}
	// Where this fails, what is in the kernel is not known.
	p.inForce = false
	for _, t := range p.tables {
		if err := t.sync(ctx, p.cluster, services, whole); err != nil {
			return nil, err
		}
	}
	p.inForce = true
	return &proxy.Result{Errors: failed}, nil
}

// sync puts the services in force in one family.
func (t *tables) sync(ctx context.Context, c cluster, services map[string]*proxy.Service, whole bool) error {
	if whole {
		if err := t.discover(ctx); err != nil {
			return err
		}
	}
	want := build(c, t.family, services)
	input := difference("nat", t.applied.nat, want.nat) + difference("filter", t.applied.filter, want.filter)
	if input != "" {
		if err := t.put(ctx, input); err != nil {
			return err
		}
	}
	t.applied = want
	if whole {
		if err := t.hang(); err != nil {
			return err
		}
	}
	udp := udpOf(t.family, services)
	if whole || t.udp.changed(udp) {
		stale := staleFlows{before: t.udp, after: udp}
		for _, cidr := range t.own(c.serviceCIDRs) {
			if prefix, err := netip.ParsePrefix(cidr); err == nil {
				stale.services = append(stale.services, prefix)
			}
		}
		if err := forgetStale(t.family, stale); err != nil {
			// The rules are right; clients that go on sending may be late.
			slog.Warn("UDP clients may reach endpoints that are gone", "err", err)
		}
	}
	t.udp = udp
	return nil
}

// Verify finds out when somebody flushed the tables or took our chains out of
// the kernel's.
func (p *proxier) Verify(context.Context) (bool, error) {
	if !p.inForce {
		return true, nil // Sync is tried again anyway, or there are no rules.
	}
	for _, t := range p.tables {
		for _, table := range []string{"nat", "filter"} {
			exists, err := t.ipt.ChainExists(table, canaryChain)
			if err != nil {
				return false, fmt.Errorf("looking for %s in the %s table: %w", canaryChain, table, err)
			}
			if !exists {
				return false, nil
			}
			// The chain itself is the first line.
			if lines, err := t.ipt.List(table, canaryChain); err != nil || len(lines) < 2 {
				return false, err
			}
		}
		for _, h := range hooks {
			if called, err := t.ipt.Exists(h.table, h.chain, "-j", h.target); err != nil || !called {
				return false, nil
			}
		}
	}
	return true, nil
}

// discover learns which chains a predecessor left.
func (t *tables) discover(ctx context.Context) error {
	t.applied = ruleset{family: t.family}
	for _, table := range []struct {
		name string
		into *chains
	}{{"nat", &t.applied.nat}, {"filter", &t.applied.filter}} {
		out, err := exec.CommandContext(ctx, t.save, "-t", table.name).Output()
		if err != nil {
			return errs.Unavailable("reading the %s table: %v", table.name, withStderr(err))
		}
		*table.into = parseSave(string(out))
	}
	return nil
}

// hang calls our chains from the kernel's, first of all.
func (t *tables) hang() error {
	for _, h := range hooks {
		exists, err := t.ipt.Exists(h.table, h.chain, "-j", h.target)
		if err == nil && !exists {
			err = t.ipt.Insert(h.table, h.chain, 1, "-j", h.target)
		}
		if err != nil {
			return errs.Unavailable("calling %s from %s: %v", h.target, h.chain, err)
		}
	}
	return nil
}

func (p *proxier) Leave(ctx context.Context) error {
	p.inForce = false
	for _, t := range p.tables {
		if err := t.leave(ctx); err != nil {
			return err
		}
	}
	return unroute()
}

func (t *tables) leave(ctx context.Context) error {
	for _, h := range hooks {
		if exists, err := t.ipt.ChainExists(h.table, h.target); err != nil || !exists {
			continue
		}
		if err := t.ipt.DeleteIfExists(h.table, h.chain, "-j", h.target); err != nil {
			return fmt.Errorf("removing the call of %s from %s: %w", h.target, h.chain, err)
		}
	}
	if err := t.discover(ctx); err != nil {
		return err
	}
	input := difference("nat", t.applied.nat, nil) + difference("filter", t.applied.filter, nil)
	if input != "" {
		if err := t.put(ctx, input); err != nil {
			return err
		}
	}
	t.applied, t.udp = ruleset{}, nil
	return nil
}

// put applies changes to whole tables at once.
func (t *tables) put(ctx context.Context, input string) error {
	cmd := exec.CommandContext(ctx, t.restore, "--noflush", "--wait", "5")
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return errs.Unavailable("%s: %v: %s", t.restore, err, bytes.TrimSpace(out))
	}
	return nil
}

func withStderr(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return err
}
