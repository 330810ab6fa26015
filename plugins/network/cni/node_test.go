package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/network"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// info is a node's in a cluster of 10.44.0.0/16.
func info(dir, address string, podCIDRs ...string) *network.NodeInfo {
	return &network.NodeInfo{
		Name: filepath.Base(dir), StateDir: filepath.Join(dir, "state"), RunDir: filepath.Join(dir, "run"), Addresses: []string{address},
		PodCidrs: podCIDRs, ClusterCidrs: []string{"10.44.0.0/16"}, ServiceCidrs: []string{"10.43.0.0/16"},
	}
}

// tell answers every connection with the address that it sees.
func tell(t *testing.T, path, address string) {
	t.Helper()
	listener := make(chan net.Listener, 1)
	within(t, path, func() error {
		l, err := net.Listen("tcp", address)
		if err == nil {
			listener <- l
		}
		return err
	})
	l := <-listener
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(conn, conn.RemoteAddr().(*net.TCPAddr).IP)
			conn.Close()
		}
	}()
}

func told(address string) (string, error) {
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	seen, err := io.ReadAll(conn)
	return string(seen), err
}

// join links two namespaces as machines of one network.
func join(t *testing.T, a, b string, mtu int) {
	t.Helper()
	run(t, "nsenter", "--net="+a, "ip", "link", "add", "lan", "mtu", fmt.Sprint(mtu), "type", "veth", "peer", "name", "lan", "mtu", fmt.Sprint(mtu), "netns", b)
	for i, path := range []string{a, b} {
		run(t, "nsenter", "--net="+path, "ip", "addr", "add", fmt.Sprintf("192.0.2.%d/24", i+1), "dev", "lan")
		run(t, "nsenter", "--net="+path, "ip", "link", "set", "lan", "up")
	}
}

func TestPodsOfTwoNodes(t *testing.T) {
	nodes := []string{namespace(t, "n1"), namespace(t, "n2")}
	pods := []string{namespace(t, "p1"), namespace(t, "p2")}
	join(t, nodes[0], nodes[1], 1400)
	plugins, addresses := []*cni{{}, {}}, make([]string, 2)
	for i := range nodes {
		n := info(t.TempDir(), fmt.Sprintf("192.0.2.%d", i+1), fmt.Sprintf("10.44.%d.0/24", i+1))
		other := &network.NodeRoute{Name: "other", Addresses: []string{fmt.Sprintf("192.0.2.%d", 2-i)}, PodCidrs: []string{fmt.Sprintf("10.44.%d.0/24", 2-i)}}
		within(t, nodes[i], func() error {
			if err := plugins[i].Configure(t.Context(), &plugin.ConfigureRequest{Node: n}); err != nil {
				return err
			}
			far := &network.NodeRoute{Name: "far", Addresses: []string{"203.0.113.9"}, PodCidrs: []string{"10.44.99.0/24"}}
			mine := &network.NodeRoute{Name: "mine", Addresses: []string{"192.0.2.77"}, PodCidrs: n.GetPodCidrs()}
			res, err := plugins[i].SetRoutes(t.Context(), &network.SetRoutesRequest{Node: n, Routes: []*network.NodeRoute{far, mine, other}})
			if err != nil {
				return err
			}
			if res.GetErrors()["far"] == "" || res.GetErrors()["mine"] == "" || res.GetErrors()["other"] != "" {
				return fmt.Errorf("errors: %v", res.GetErrors())
			}
			attached, err := plugins[i].Attach(t.Context(), &network.AttachRequest{SandboxId: "s", Pod: pod("s"), NetworkNamespace: pods[i]})
			if err != nil {
				return err
			}
			addresses[i] = attached.GetAddresses()[0]
			return nil
		})
	}
	tell(t, pods[1], addresses[1]+":80")
	within(t, pods[0], func() error {
		if seen, err := told(addresses[1] + ":80"); err != nil || seen != addresses[0] {
			return fmt.Errorf("the server on the other node saw %q, not %s: %w", seen, addresses[0], err)
		}
		link, err := netlink.LinkByName(interfaceName)
		if err == nil && link.Attrs().MTU != 1400 {
			err = fmt.Errorf("the MTU is %d, not the node's 1400", link.Attrs().MTU)
		}
		return err
	})
	// The other node left.
	within(t, nodes[0], func() error {
		_, err := plugins[0].SetRoutes(t.Context(), &network.SetRoutesRequest{})
		return err
	})
	within(t, pods[0], func() error {
		if _, err := told(addresses[1] + ":80"); err == nil || !strings.Contains(err.Error(), "no route to host") {
			return fmt.Errorf("after the node left: %w", err)
		}
		return nil
	})
	for i := range nodes {
		within(t, nodes[i], func() error { _, err := plugins[i].Leave(t.Context(), &network.LeaveRequest{}); return err })
	}
}

func TestARangeThatComesLaterAndChanges(t *testing.T) {
	node, a := namespace(t, "node"), namespace(t, "a")
	dir := t.TempDir()
	within(t, node, func() error {
		c := &cni{}
		if err := c.Configure(t.Context(), &plugin.ConfigureRequest{Node: info(dir, "192.0.2.1")}); err != nil {
			return err
		}
		req := &network.AttachRequest{SandboxId: "s", Pod: pod("s"), NetworkNamespace: a}
		if _, err := c.Attach(t.Context(), req); !errs.Is(err, errs.ClassUnavailable) {
			return fmt.Errorf("without a range: %v", err)
		}
		if _, err := c.Detach(t.Context(), &network.DetachRequest{SandboxId: "s"}); err != nil {
			return err
		}
		// A sandbox is taken back from the range that it was attached in.
		for _, cidr := range []string{"10.44.5.0/24", "10.44.6.0/24"} {
			if _, err := c.SetRoutes(t.Context(), &network.SetRoutesRequest{Node: info(dir, "192.0.2.1", cidr)}); err != nil {
				return err
			}
			req.SandboxId = cidr[:7]
			if _, err := c.Attach(t.Context(), req); err != nil {
				return err
			}
			if cidr == "10.44.5.0/24" {
				// As the node agent does that missed the end of a pod.
				if _, err := c.SetRoutes(t.Context(), &network.SetRoutesRequest{Node: info(dir, "192.0.2.1", "10.44.6.0/24")}); err != nil {
					return err
				}
				res, err := c.Prune(t.Context(), &network.PruneRequest{})
				if err != nil || !slices.Equal(res.GetDetached(), []string{"10.44.5"}) {
					return fmt.Errorf("detached %v, %w", res.GetDetached(), err)
				}
				if routes := run(t, "ip", "route"); strings.Contains(routes, "10.44.5.") {
					return fmt.Errorf("of the old range there are\n%s", routes)
				}
			}
		}
		_, err := c.Leave(t.Context(), &network.LeaveRequest{})
		return err
	})
}

func TestLeaveLeavesNothing(t *testing.T) {
	node, a := namespace(t, "node"), namespace(t, "a")
	dir := t.TempDir()
	within(t, node, func() error {
		// Without the tables and chains of the kernel, which appear when used.
		const look = "(iptables-save; ip6tables-save; ip -o link; ip route show table all) | sed -E '/^([#*]|COMMIT|:[A-Z]+ )/d'"
		before := run(t, "sh", "-c", look)
		n := info(dir, "192.0.2.1", "10.44.3.0/24")
		c := &cni{}
		if err := c.Configure(t.Context(), &plugin.ConfigureRequest{Node: n}); err != nil {
			return err
		}
		req := &network.AttachRequest{
			SandboxId: "s", Pod: pod("s"), NetworkNamespace: a, IngressBandwidth: 8_000_000, EgressBandwidth: 16_000_000,
			PortMappings: []*network.PortMapping{{Protocol: "TCP", ContainerPort: 80, HostPort: 8080}},
		}
		for range 2 {
			if _, err := c.Attach(t.Context(), req); err != nil {
				return err
			}
		}
		if qdiscs := run(t, "tc", "qdisc"); !strings.Contains(qdiscs, "rate 8Mbit") || !strings.Contains(qdiscs, "rate 16Mbit") {
			return fmt.Errorf("the limits are not there:\n%s", qdiscs)
		}
		// The process that leaves need not be the one that attached, nor know
		// the range.
		n.PodCidrs = nil
		next := &cni{}
		if err := next.Configure(t.Context(), &plugin.ConfigureRequest{Node: n}); err != nil {
			return err
		}
		if _, err := next.Leave(t.Context(), &network.LeaveRequest{}); err != nil {
			return err
		}
		if after := run(t, "sh", "-c", look); after != before {
			return fmt.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
		left, err := os.ReadDir(n.GetStateDir())
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("files are left: %v", left)
		}
		return err
	})
}

func TestTheOperatorsConfiguration(t *testing.T) {
	node, a := namespace(t, "node"), namespace(t, "a")
	dir := t.TempDir()
	conf := filepath.Join(dir, "conf")
	list := `{"cniVersion": "1.0.0", "name": "theirs", "plugins": [{"type": "bridge", "bridge": "br-theirs", "isGateway": true,
		"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.77.0.0/24"}]], "dataDir": "` + filepath.Join(dir, "theirs") + `"}}]}`
	if err := errors.Join(os.Mkdir(conf, 0o700), os.WriteFile(filepath.Join(conf, "10-theirs.conflist"), []byte(list), 0o600)); err != nil {
		t.Fatal(err)
	}
	within(t, node, func() error {
		c := &cni{}
		config := []byte(`{"confDir": "` + conf + `"}`)
		if err := c.Configure(t.Context(), &plugin.ConfigureRequest{Config: config, Node: info(dir, "192.0.2.1", "10.44.3.0/24")}); err != nil {
			return err
		}
		req := &network.AttachRequest{SandboxId: "s", Pod: pod("s"), NetworkNamespace: a}
		for range 2 {
			res, err := c.Attach(t.Context(), req)
			if err != nil {
				return err
			}
			if res.GetAddresses()[0] != "10.77.0.2" {
				return fmt.Errorf("addresses: %v", res.GetAddresses())
			}
		}
		if _, err := c.Leave(t.Context(), &network.LeaveRequest{}); err != nil {
			return err
		}
		// The bridge is theirs.
		if out, err := exec.Command("ip", "-o", "link").Output(); err != nil || !strings.Contains(string(out), "br-theirs") || strings.Contains(string(out), "veth") {
			return fmt.Errorf("%w, links:\n%s", err, out)
		}
		return nil
	})
}

func TestPodsOfTwoFamilies(t *testing.T) {
	node, a, b := namespace(t, "node"), namespace(t, "a"), namespace(t, "b")
	n := info(t.TempDir(), "192.0.2.1", "10.44.3.0/24", "2001:db8:44:3::/64")
	n.ClusterCidrs = append(n.ClusterCidrs, "2001:db8:44::/48")
	c := &cni{}
	var addresses []string
	within(t, node, func() error {
		if err := c.Configure(t.Context(), &plugin.ConfigureRequest{Node: n}); err != nil {
			return err
		}
		for sandbox, path := range map[string]string{"a": a, "b": b} {
			res, err := c.Attach(t.Context(), &network.AttachRequest{SandboxId: sandbox, Pod: pod(sandbox), NetworkNamespace: path})
			if err != nil {
				return err
			}
			if len(res.GetAddresses()) != 2 {
				return fmt.Errorf("addresses: %v", res.GetAddresses())
			}
			if sandbox == "b" {
				addresses = res.GetAddresses()
			}
		}
		return nil
	})
	for _, address := range addresses {
		server := net.JoinHostPort(address, "80")
		tell(t, b, server)
		within(t, a, func() error {
			seen, err := told(server)
			if err == nil && isV4(seen) != isV4(address) {
				err = fmt.Errorf("%s is asked by %s", address, seen)
			}
			return err
		})
	}
	within(t, node, func() error {
		if _, err := c.Leave(t.Context(), &network.LeaveRequest{}); err != nil {
			return err
		}
		if out := run(t, "sh", "-c", "ip6tables-save; ip -6 route show table all"); strings.Contains(out, "PINTLE") || strings.Contains(out, "2001:db8:44") {
			return fmt.Errorf("left behind:\n%s", out)
		}
		return nil
	})
}

func TestAnInterruptedAttachLosesNoAddress(t *testing.T) {
	node, a := namespace(t, "node"), namespace(t, "a")
	dir := t.TempDir()
	within(t, node, func() error {
		c := &cni{}
		if err := c.Configure(t.Context(), &plugin.ConfigureRequest{Node: info(dir, "192.0.2.1", "10.44.3.0/29")}); err != nil {
			return err
		}
		req := &network.AttachRequest{
			SandboxId: "s", Pod: pod("s"), NetworkNamespace: a,
			PortMappings: []*network.PortMapping{{Protocol: "TCP", ContainerPort: 80, HostPort: 8080}},
		}
		// What a process leaves that is killed after the CNI plugins are done
		// and before the result is written.
		forget := func() error { return os.RemoveAll(c.cacheDir()) }
		for range 8 {
			if _, err := c.Attach(t.Context(), req); err != nil {
				return err
			}
			if err := forget(); err != nil {
				return err
			}
		}
		// And one that is killed while host-local writes.
		torn := filepath.Join(c.leaseDir(), networkName, "10.44.3.6")
		old := time.Now().Add(-2 * freshLease)
		if err := errors.Join(os.WriteFile(torn, nil, 0o600), os.Chtimes(torn, old, old)); err != nil {
			return err
		}
		res, err := c.Prune(t.Context(), &network.PruneRequest{})
		if err != nil || !slices.Equal(res.GetDetached(), []string{"s"}) {
			return fmt.Errorf("detached %v, %w", res.GetDetached(), err)
		}
		if leases, err := filepath.Glob(filepath.Join(c.leaseDir(), networkName, "10.*")); err != nil || len(leases) > 0 {
			return fmt.Errorf("leases are left: %v, %w", leases, err)
		}
		if out := run(t, "iptables-save", "-t", "nat"); strings.Contains(out, "CNI-DN-") {
			return fmt.Errorf("a host port is left:\n%s", out)
		}
		_, err = c.Leave(t.Context(), &network.LeaveRequest{})
		return err
	})
}

func TestMissingPluginsAreNamedWithTheirPackage(t *testing.T) {
	err := (&cni{}).Configure(t.Context(), &plugin.ConfigureRequest{
		Config: []byte(`{"binDirs": ["/nowhere"]}`), Node: info(t.TempDir(), "192.0.2.1"),
	})
	if !errs.Is(err, errs.ClassFailedPrecondition) || !strings.Contains(errs.Hint(err), "containernetworking-plugins") {
		t.Errorf("%v", err)
	}
}
