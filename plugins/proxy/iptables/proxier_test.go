package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/sdk/network"
	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/proxy"
)

// onNode runs a test on a thread in a network namespace of its own.
func onNode(t *testing.T, test func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the thread, and with it the namespace, ends here.
		runtime.LockOSThread()
		ns, err := netns.New()
		if err != nil {
			done <- err
			return
		}
		defer ns.Close()
		for _, args := range []string{"link set lo up", "link add eth0 type veth peer name eth1", "addr add 192.0.2.1/24 dev eth0", "link set eth0 up", "link set eth1 up"} {
			if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
				done <- fmt.Errorf("ip %s: %w: %s", args, err, out)
				return
			}
		}
		done <- test()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func serve(t *testing.T, address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, address)
			c.Close()
		}
	}()
	return nil
}

func ask(address string) (string, error) {
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	b := make([]byte, 64)
	n, err := c.Read(b)
	return string(b[:n]), err
}

func service(name, ip string, nodePort int32, endpoints ...string) *proxy.Service {
	p := &proxy.Port{Protocol: "TCP", Port: 80, NodePort: nodePort}
	for _, e := range endpoints {
		p.Endpoints = append(p.Endpoints, &proxy.Endpoint{Address: e, Port: 8080, Ready: true, Local: true})
	}
	return &proxy.Service{Namespace: "d", Name: name, ClusterIps: []string{ip}, Ports: []*proxy.Port{p}}
}

func TestServicesReachEndpoints(t *testing.T) {
	onNode(t, func() error {
		ctx := context.Background()
		p := &proxier{}
		err := p.Configure(ctx, &plugin.ConfigureRequest{Node: &network.NodeInfo{
			Name: "n", Addresses: []string{"192.0.2.1"}, ClusterCidrs: []string{"10.44.0.0/16"}, ServiceCidrs: []string{"10.43.0.0/16"},
		}})
		if err != nil {
			return err
		}
		for _, a := range []string{"192.0.2.11", "192.0.2.12"} {
			if out, err := exec.Command("ip", "addr", "add", a+"/32", "dev", "lo").CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			if err := serve(t, a+":8080"); err != nil {
				return err
			}
		}
		state := &proxy.State{Revision: 1, All: true, Services: map[string]*proxy.Service{
			"d/web":   service("web", "10.43.0.10", 30080, "192.0.2.11", "192.0.2.12"),
			"d/empty": service("empty", "10.43.0.11", 0),
		}}
		if _, err := p.Sync(ctx, state); err != nil {
			return err
		}
		for _, address := range []string{"10.43.0.10:80", "192.0.2.1:30080"} {
			seen := map[string]int{}
			for range 40 {
				from, err := ask(address)
				if err != nil {
					return fmt.Errorf("%s: %w", address, err)
				}
				seen[from]++
			}
			if len(seen) != 2 {
				return fmt.Errorf("%s was answered by %v", address, seen)
			}
		}
		// No endpoint, no such port, no such service.
		for _, address := range []string{"10.43.0.11:80", "10.43.0.10:81", "10.43.7.7:80"} {
			if _, err := ask(address); !errors.Is(err, unix.ECONNREFUSED) {
				return fmt.Errorf("%s: %v", address, err)
			}
		}
		// A change of one endpoint touches that service's chains alone.
		before := p.tables[0].applied
		after := build(p.cluster, ipv4(), map[string]*proxy.Service{
			"d/web":   service("web", "10.43.0.10", 30080, "192.0.2.12"),
			"d/empty": service("empty", "10.43.0.11", 0),
		})
		for line := range strings.Lines(difference("nat", before.nat, after.nat)) {
			if strings.HasPrefix(line, "-A "+servicesChain) {
				return fmt.Errorf("one endpoint changed, and so did %s", line)
			}
		}
		if difference("filter", before.filter, after.filter) != "" {
			return errors.New("one endpoint changed, and so did the filter table")
		}
		// A successor takes over and puts the change in force.
		next := &proxier{cluster: p.cluster, node: p.node, tables: []*tables{{family: ipv4(), ipt: p.tables[0].ipt}}}
		state.Services["d/web"] = service("web", "10.43.0.10", 30080, "192.0.2.12")
		if _, err := next.Sync(ctx, state); err != nil {
			return err
		}
		for range 10 {
			if from, err := ask("10.43.0.10:80"); err != nil || from != "192.0.2.12:8080" {
				return fmt.Errorf("after the change: %q, %v", from, err)
			}
		}
		if err := next.Leave(ctx); err != nil {
			return err
		}
		out, err := exec.Command("iptables-save").Output()
		if err != nil {
			return err
		}
		if strings.Contains(string(out), prefix) {
			return fmt.Errorf("left behind:\n%s", out)
		}
		return nil
	})
}

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests change packet rules in namespaces of their own and need root")
		os.Exit(1)
	}
	os.Exit(m.Run())
}
