package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// site is the network that checks of networks and proxies play in: the process's
// own network namespace is the node, and outside is a machine next to it.
type site struct {
	node           *pluginv1.NodeInfo
	outside        *netNamespace
	outsideAddress string
}

// siteNode is the node where the options give none: addresses and ranges are
// those that RFC 5737 and RFC 2544 keep for documentation and benchmarks.
func siteNode() *pluginv1.NodeInfo {
	return &pluginv1.NodeInfo{
		Name: "conformance", Addresses: []string{"192.0.2.1"},
		PodCidrs: []string{"198.18.7.0/28"}, ClusterCidrs: []string{"198.18.0.0/16"}, ServiceCidrs: []string{"198.19.0.0/16"},
	}
}

// nodeLink is the node's link to the machine outside.
const nodeLink = "pintlecf0"

// newSite makes the machine outside, in a namespace pinned below dir, and the
// link to it.
func newSite(node *pluginv1.NodeInfo, dir string) (*site, error) {
	if node == nil {
		node = siteNode()
	}
	if len(node.GetAddresses()) == 0 || len(node.GetPodCidrs()) == 0 || len(node.GetClusterCidrs()) == 0 || len(node.GetServiceCidrs()) == 0 {
		return nil, errors.New("the node of the options needs addresses, pod_cidrs, cluster_cidrs and service_cidrs")
	}
	address, err := netip.ParseAddr(node.GetAddresses()[0])
	if err != nil {
		return nil, err
	}
	s := &site{node: node, outsideAddress: address.Next().String()}
	if s.outside, err = newNetNamespace(filepath.Join(dir, "outside")); err != nil {
		return nil, err
	}
	err = errors.Join(
		os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0),
		ip("link set lo up"),
		ip("link add %s type veth peer name eth0 netns %s", nodeLink, s.outside.path),
		ip("addr add %s/24 dev %s", address, nodeLink),
		ip("link set %s up", nodeLink),
		// What nobody takes leaves the node by this route, if it is let go.
		ip("route add default via %s", s.outsideAddress),
		s.outside.do(func() error {
			return errors.Join(
				ip("addr add %s/24 dev eth0", s.outsideAddress),
				ip("link set eth0 up"),
				ip("route add default via %s", address),
			)
		}),
	)
	if err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

func (s *site) remove() {
	_ = ip("link del %s", nodeLink)
	_ = s.outside.remove()
}

// ip runs the command of iproute2.
func ip(format string, args ...any) error {
	words := strings.Fields(fmt.Sprintf(format, args...))
	if out, err := exec.Command("ip", words...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(words, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// answer is what a server of the checks says.
type answer struct {
	// Server is the name that it was given, Client the address that it saw.
	server, client string
}

// serveNames answers on an address in a namespace, TCP and UDP, with the
// server's name and the client's address.
func serveNames(ns *netNamespace, address, name string) (stop func(), err error) {
	var tcp net.Listener
	var udp net.PacketConn
	err = ns.do(func() error {
		var err error
		if tcp, err = net.Listen("tcp", address); err != nil {
			return err
		}
		if udp, err = net.ListenPacket("udp", address); err != nil {
			tcp.Close()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	say := func(client net.Addr) []byte {
		host, _, _ := net.SplitHostPort(client.String())
		return []byte(name + " " + host)
	}
	go func() {
		for {
			conn, err := tcp.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write(say(conn.RemoteAddr()))
			conn.Close()
		}
	}()
	go func() {
		buffer := make([]byte, 16)
		for {
			_, client, err := udp.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = udp.WriteTo(say(client), client)
		}
	}()
	return func() { tcp.Close(); udp.Close() }, nil
}

// answerTimeout is how long an answer may take; a refusal comes at once.
const answerTimeout = 10 * time.Second

// ask makes a connection from a namespace and reads the answer.
func ask(ns *netNamespace, network, address string) (a answer, err error) {
	err = ns.do(func() error {
		conn, err := net.DialTimeout(network, address, answerTimeout)
		if err != nil {
			return err
		}
		defer conn.Close()
		a, err = askOn(conn, answerTimeout)
		return err
	})
	return a, err
}

// askOn asks on a connection; on one of UDP more than once.
func askOn(conn net.Conn, patience time.Duration) (answer, error) {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return answer{}, err
	}
	if conn.LocalAddr().Network() == "udp" {
		if _, err := conn.Write([]byte("?")); err != nil {
			return answer{}, err
		}
	}
	buffer := make([]byte, 256)
	n, err := conn.Read(buffer)
	if err != nil {
		return answer{}, err
	}
	server, client, _ := strings.Cut(string(buffer[:n]), " ")
	return answer{server, client}, nil
}

// atOnce is far below the three seconds after which the kernel gives up looking
// for a neighbour, and far above what a refusal takes.
const atOnce = time.Second

// refusals are what the kernel says; EPERM to one who sends UDP on the node
// that rejects it.
var refusals = []error{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EPERM}

// refused checks that an address is refused at once. A busy machine may hold up
// one try, but not three.
func refused(ns *netNamespace, network, address string) error {
	var took time.Duration
	for range 3 {
		begin := time.Now()
		a, err := ask(ns, network, address)
		took = time.Since(begin)
		switch {
		case err == nil:
			return fmt.Errorf("%s %s is answered by %s", network, address, a.server)
		case !slices.ContainsFunc(refusals, func(e error) bool { return errors.Is(err, e) }):
			return fmt.Errorf("%s %s is not rejected: %w", network, address, err)
		case took < atOnce:
			return nil
		}
	}
	return fmt.Errorf("%s %s is rejected only after %s", network, address, took)
}
