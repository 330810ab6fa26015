package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/exec"

	"github.com/coreos/go-iptables/iptables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/proxy"
)

// routeProtocol marks the route that is ours, see rtnetlink(7).
const routeProtocol netlink.RouteProtocol = 113

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
	ipt     *iptables.IPTables
	cluster cluster
	node    []string
	applied ruleset
}

var _ plugin.Configurer = (*proxier)(nil)

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
	var err error
	if p.ipt, err = iptables.New(); err != nil {
		return errs.FailedPrecondition("looking for iptables: %v", err).WithHint("install the package iptables")
	}
	p.cluster = cluster{
		podCIDRs: req.GetNode().GetClusterCidrs(), serviceCIDRs: req.GetNode().GetServiceCidrs(),
		mark: fmt.Sprintf("0x%x", 1<<config.MasqueradeBit),
	}
	p.node = req.GetNode().GetAddresses()
	return p.route()
}

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
	var source net.IP
	for _, a := range p.node {
		if v4(a) {
			source = net.ParseIP(a)
			break
		}
	}
	for _, cidr := range p.cluster.serviceCIDRs {
		_, dst, err := net.ParseCIDR(cidr)
		if err != nil {
			return errs.InvalidArgument("service range %q: %v", cidr, err)
		}
		if !v4(cidr) {
			continue
		}
		route := &netlink.Route{Dst: dst, LinkIndex: lo.Attrs().Index, Protocol: routeProtocol, Scope: netlink.SCOPE_LINK, Src: source}
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("adding the route for service addresses %s: %w", cidr, err)
		}
	}
	return nil
}

func (p *proxier) Sync(ctx context.Context, state *proxy.State) (*proxy.Result, error) {
	if state.All {
		if err := p.discover(ctx); err != nil {
			return nil, err
		}
	}
	want, failed := build(p.cluster, state.Services)
	nat := difference("nat", p.applied.nat, want.nat)
	filter := difference("filter", p.applied.filter, want.filter)
	if nat+filter != "" {
		if err := restore(ctx, nat+filter); err != nil {
			// What is in the kernel now is not known.
			if again := p.discover(ctx); again != nil {
				slog.Warn("reading the rules back failed", "err", again)
			}
			return nil, err
		}
	}
	p.applied = want
	if state.All {
		if err := p.hang(); err != nil {
			return nil, err
		}
	}
	return &proxy.Result{Errors: failed}, nil
}

// discover learns which chains a predecessor left.
func (p *proxier) discover(ctx context.Context) error {
	for _, t := range []struct {
		name string
		into *chains
	}{{"nat", &p.applied.nat}, {"filter", &p.applied.filter}} {
		out, err := exec.CommandContext(ctx, "iptables-save", "-t", t.name).Output()
		if err != nil {
			return errs.Unavailable("reading the %s table: %v", t.name, withStderr(err))
		}
		*t.into = parseSave(string(out))
	}
	return nil
}

// hang calls our chains from the kernel's, first of all.
func (p *proxier) hang() error {
	for _, h := range hooks {
		exists, err := p.ipt.Exists(h.table, h.chain, "-j", h.target)
		if err == nil && !exists {
			err = p.ipt.Insert(h.table, h.chain, 1, "-j", h.target)
		}
		if err != nil {
			return errs.Unavailable("calling %s from %s: %v", h.target, h.chain, err)
		}
	}
	return nil
}

func (p *proxier) Leave(ctx context.Context) error {
	for _, h := range hooks {
		if exists, err := p.ipt.ChainExists(h.table, h.target); err != nil || !exists {
			continue
		}
		if err := p.ipt.DeleteIfExists(h.table, h.chain, "-j", h.target); err != nil {
			return fmt.Errorf("removing the call of %s from %s: %w", h.target, h.chain, err)
		}
	}
	if err := p.discover(ctx); err != nil {
		return err
	}
	input := difference("nat", p.applied.nat, nil) + difference("filter", p.applied.filter, nil)
	if input != "" {
		if err := restore(ctx, input); err != nil {
			return err
		}
	}
	p.applied = ruleset{}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Protocol: routeProtocol}, netlink.RT_FILTER_PROTOCOL)
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

// restore applies changes to whole tables at once.
func restore(ctx context.Context, input string) error {
	cmd := exec.CommandContext(ctx, "iptables-restore", "--noflush", "--wait", "5")
	cmd.Stdin = bytes.NewReader([]byte(input))
	if out, err := cmd.CombinedOutput(); err != nil {
		return errs.Unavailable("iptables-restore: %v: %s", err, bytes.TrimSpace(out))
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
