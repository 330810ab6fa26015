package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/sdk/network"
	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/proxy"
)

func configured(node *network.NodeInfo) (*proxier, error) {
	p := &proxier{}
	return p, p.Configure(context.Background(), &plugin.ConfigureRequest{Node: node})
}

func node() *network.NodeInfo {
	return &network.NodeInfo{
		Name: "n", Addresses: []string{"192.0.2.1"}, ClusterCidrs: []string{"10.44.0.0/16"}, ServiceCidrs: []string{"10.43.0.0/16"},
	}
}

// shell runs a command line as somebody else on the machine would.
func shell(line string) (string, error) {
	out, err := exec.Command("sh", "-c", line).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", line, err, out)
	}
	return string(out), nil
}

func all(services ...*proxy.Service) *proxy.State {
	state := &proxy.State{All: true, Services: map[string]*proxy.Service{}}
	for _, s := range services {
		state.Services[s.GetNamespace()+"/"+s.GetName()] = s
	}
	return state
}

func TestFlushedRulesAreNoticedAndMadeAgain(t *testing.T) {
	onNode(t, func() error {
		ctx := context.Background()
		p, err := configured(node())
		if err != nil {
			return err
		}
		if _, err := shell("ip addr add 192.0.2.11/32 dev lo"); err != nil {
			return err
		}
		if err := serve(t, "192.0.2.11:8080"); err != nil {
			return err
		}
		state := all(service("web", "10.43.0.10", 30080, "192.0.2.11"))
		if intact, err := p.Verify(ctx); !intact || err != nil {
			return fmt.Errorf("before the first Sync there is nothing to miss: %v, %w", intact, err)
		}
		if _, err := p.Sync(ctx, state); err != nil {
			return err
		}
		for _, harm := range []string{
			"true", "iptables -t nat -F", "iptables -t nat -F && iptables -t nat -X", "iptables -F && iptables -X",
			"iptables -t nat -F OUTPUT", "iptables -D INPUT -j " + rejectChain, "nft flush ruleset",
		} {
			if _, err := shell(harm); err != nil {
				return err
			}
			intact, err := p.Verify(ctx)
			if err != nil {
				return fmt.Errorf("after %s: %w", harm, err)
			}
			if intact != (harm == "true") {
				return fmt.Errorf("after %s Verify says %v", harm, intact)
			}
			if intact {
				continue
			}
			if _, err := p.Sync(ctx, state); err != nil {
				return fmt.Errorf("after %s: %w", harm, err)
			}
			if intact, err := p.Verify(ctx); !intact || err != nil {
				return fmt.Errorf("made again after %s: %v, %w", harm, intact, err)
			}
			if from, err := ask("10.43.0.10:80"); err != nil || from != "192.0.2.11:8080" {
				return fmt.Errorf("after %s: %q, %w", harm, from, err)
			}
			if _, err := ask("10.43.0.99:80"); !errors.Is(err, unix.ECONNREFUSED) {
				return fmt.Errorf("after %s: %v", harm, err)
			}
		}
		return p.Leave(ctx)
	})
}

func TestAFailedSyncIsMadeGoodByTheNext(t *testing.T) {
	onNode(t, func() error {
		ctx := context.Background()
		p, err := configured(node())
		if err != nil {
			return err
		}
		web := service("web", "10.43.0.10", 0, "192.0.2.11")
		if _, err := p.Sync(ctx, all(web)); err != nil {
			return err
		}
		// A rule of somebody else's keeps a chain from being removed.
		var chain string
		for name := range p.tables[0].applied.nat {
			if strings.HasPrefix(name, prefix+"SVC-") {
				chain = name
			}
		}
		if _, err := shell("iptables -t nat -A OUTPUT -d 203.0.113.9 -j " + chain); err != nil {
			return err
		}
		none := all()
		none.All = false
		if _, err := p.Sync(ctx, none); err == nil {
			return errors.New("the chain could not be removed, and Sync says that it is")
		}
		if _, err := shell("iptables -t nat -D OUTPUT -d 203.0.113.9 -j " + chain); err != nil {
			return err
		}
		if _, err := p.Sync(ctx, none); err != nil {
			return fmt.Errorf("after the obstacle is gone: %w", err)
		}
		if out, err := shell("iptables-save"); err != nil || strings.Contains(out, chain) {
			return fmt.Errorf("%w, left behind:\n%s", err, out)
		}
		return p.Leave(ctx)
	})
}

func TestLeaveTakesNothingOfOthers(t *testing.T) {
	onNode(t, func() error {
		ctx := context.Background()
		if _, err := shell("iptables -t nat -N OTHERS && iptables -t nat -A PREROUTING -j OTHERS && iptables -A INPUT -p tcp --dport 22 -j ACCEPT"); err != nil {
			return err
		}
		const rules = "(iptables-save; ip route show table all) | grep -v '^#' | sed 's/\\[.*//'"
		// The first use makes the tables themselves.
		before, err := shell(rules)
		if err != nil {
			return err
		}
		p, err := configured(node())
		if err != nil {
			return err
		}
		if _, err := p.Sync(ctx, all(service("web", "10.43.0.10", 30080, "192.0.2.11"))); err != nil {
			return err
		}
		for range 2 {
			if err := p.Leave(ctx); err != nil {
				return err
			}
		}
		after, err := shell(rules)
		if err != nil {
			return err
		}
		if before != after {
			return fmt.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
		return nil
	})
}

func TestServicesOfIPv6(t *testing.T) {
	onNode(t, func() error {
		ctx := context.Background()
		n := node()
		n.Addresses = append(n.Addresses, "2001:db8::1")
		n.ClusterCidrs, n.ServiceCidrs = append(n.ClusterCidrs, "2001:db8:44::/48"), append(n.ServiceCidrs, "2001:db8:43::/112")
		if _, err := shell("ip addr add 2001:db8::1/64 dev eth0 nodad; ip addr add 2001:db8::11/128 dev lo nodad"); err != nil {
			return err
		}
		if err := serve(t, "[2001:db8::11]:8080"); err != nil {
			return err
		}
		p, err := configured(n)
		if err != nil {
			return err
		}
		web := service("web", "10.43.0.10", 0, "2001:db8::11")
		web.ClusterIps = append(web.ClusterIps, "2001:db8:43::10")
		if _, err := p.Sync(ctx, all(web)); err != nil {
			return err
		}
		if from, err := ask("[2001:db8:43::10]:80"); err != nil || from != "[2001:db8::11]:8080" {
			return fmt.Errorf("%q, %w", from, err)
		}
		for _, address := range []string{"[2001:db8:43::10]:81", "[2001:db8:43::77]:80", "10.43.0.10:80"} {
			if _, err := ask(address); !errors.Is(err, unix.ECONNREFUSED) {
				return fmt.Errorf("%s: %v", address, err)
			}
		}
		if err := p.Leave(ctx); err != nil {
			return err
		}
		if out, err := shell("ip6tables-save; ip -6 route"); err != nil || strings.Contains(out, prefix) || strings.Contains(out, "2001:db8:43") {
			return fmt.Errorf("%w, left behind:\n%s", err, out)
		}
		return nil
	})
}

func TestANodeKnownByAnAddressThatItDoesNotHave(t *testing.T) {
	onNode(t, func() error {
		n := node()
		n.Addresses = []string{"203.0.113.5"}
		p, err := configured(n)
		if err != nil {
			return err
		}
		return p.Leave(context.Background())
	})
}

func TestStaleFlows(t *testing.T) {
	udp := func(ip string, nodePort int32, endpoints ...string) *proxy.Service {
		s := service("dns", ip, nodePort, endpoints...)
		s.Ports[0].Protocol = "UDP"
		return s
	}
	before := udpOf(ipv4(), all(udp("10.43.0.10", 30053, "10.44.0.1", "10.44.0.2")).Services)
	after := udpOf(ipv4(), all(udp("10.43.0.10", 30053, "10.44.0.2")).Services)
	if !before.changed(after) || after.changed(after) || !udpOf(ipv4(), nil).changed(after) || !after.changed(udpEndpoints{}) {
		t.Error("what makes flows stale is not noticed, or more than that")
	}
	flow := func(asked string, port uint16, answers string, from uint16) *netlink.ConntrackFlow {
		f := &netlink.ConntrackFlow{}
		f.Forward.Protocol, f.Forward.DstIP, f.Forward.DstPort = unix.IPPROTO_UDP, net.ParseIP(asked), port
		f.Reverse.SrcIP, f.Reverse.SrcPort = net.ParseIP(answers), from
		return f
	}
	stale := staleFlows{before: before, after: after}
	for what, test := range map[string]struct {
		flow  *netlink.ConntrackFlow
		stale bool
	}{
		"the endpoint that stays": {flow("10.43.0.10", 80, "10.44.0.2", 8080), false},
		"the one that is gone":    {flow("10.43.0.10", 80, "10.44.0.1", 8080), true},
		"never translated":        {flow("10.43.0.10", 80, "10.43.0.10", 80), true},
		"by the node, stays":      {flow("192.0.2.1", 30053, "10.44.0.2", 8080), false},
		"by the node, gone":       {flow("192.0.2.1", 30053, "10.44.0.1", 8080), true},
		"somebody else's port":    {flow("192.0.2.9", 30053, "192.0.2.9", 30053), false},
		"somebody else's address": {flow("8.8.8.8", 53, "8.8.8.8", 53), false},
	} {
		if stale.MatchConntrackFlow(test.flow) != test.stale {
			t.Errorf("%s: stale is not %v", what, test.stale)
		}
	}
}
