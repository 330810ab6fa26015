package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/network"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// namespace makes a network namespace for the test's time.
func namespace(t *testing.T, name string) string {
	t.Helper()
	name = fmt.Sprintf("cnitest%d-%s", os.Getpid(), name)
	run(t, "ip", "netns", "add", name)
	t.Cleanup(func() { run(t, "ip", "netns", "del", name) })
	path := "/run/netns/" + name
	run(t, "nsenter", "--net="+path, "ip", "link", "set", "lo", "up")
	return path
}

func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// within calls f on a thread in a namespace.
func within(t *testing.T, path string, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with the goroutine.
		runtime.LockOSThread()
		ns, err := netns.GetFromPath(path)
		if err == nil {
			err = netns.Set(ns)
			ns.Close()
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func pod(name string) *pluginv1.PodIdentity {
	return &pluginv1.PodIdentity{Namespace: "default", Name: name, Uid: "uid-" + name}
}

func TestPodsReachEachOther(t *testing.T) {
	node, a, b := namespace(t, "node"), namespace(t, "a"), namespace(t, "b")
	dir := t.TempDir()
	c := &cni{}
	var addresses []string
	within(t, node, func() error {
		err := c.Configure(t.Context(), &plugin.ConfigureRequest{Node: &network.NodeInfo{
			Name: "n", StateDir: filepath.Join(dir, "state"), RunDir: filepath.Join(dir, "run"),
			PodCidrs: []string{"10.44.3.0/24"}, ClusterCidrs: []string{"10.44.0.0/16"}, ServiceCidrs: []string{"10.43.0.0/16"},
		}})
		if err != nil {
			return err
		}
		for sandbox, path := range map[string]string{"sa": a, "sb": b} {
			req := &network.AttachRequest{SandboxId: sandbox, Pod: pod(sandbox), NetworkNamespace: path}
			first, err := c.Attach(t.Context(), req)
			if err != nil {
				return err
			}
			second, err := c.Attach(t.Context(), req)
			if err != nil {
				return err
			}
			if first.GetAddresses()[0] != second.GetAddresses()[0] {
				return fmt.Errorf("attached twice: %v, then %v", first.GetAddresses(), second.GetAddresses())
			}
			addresses = append(addresses, first.GetAddresses()[0])
			if sandbox == "sb" {
				b = first.GetAddresses()[0]
			}
		}
		return nil
	})
	listener := make(chan net.Listener, 1)
	within(t, "/run/netns/"+filepath.Base(namespaceOf(t, "b")), func() error {
		l, err := net.Listen("tcp", b+":80")
		listener <- l
		return err
	})
	l := <-listener
	defer l.Close()
	seen := make(chan string, 2)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			seen <- conn.RemoteAddr().(*net.TCPAddr).IP.String()
			conn.Close()
		}
	}()
	within(t, a, func() error {
		conn, err := net.DialTimeout("tcp", b+":80", 5*time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if from := <-seen; from == b || !strings.HasPrefix(from, "10.44.3.") {
		t.Errorf("the server saw the client as %s, of %v", from, addresses)
	}
	// Addresses that nobody holds are rejected, in the node's range and beyond.
	for _, unheld := range []string{"10.44.3.200:80", "10.44.9.9:80"} {
		within(t, a, func() error {
			conn, err := net.DialTimeout("tcp", unheld, 20*time.Second)
			if err == nil {
				conn.Close()
				return fmt.Errorf("%s answered", unheld)
			}
			if !strings.Contains(err.Error(), "no route to host") {
				return fmt.Errorf("%s: %w", unheld, err)
			}
			return nil
		})
	}
	within(t, node, func() error {
		if _, err := c.Leave(t.Context(), &network.LeaveRequest{}); err != nil {
			return err
		}
		for _, args := range [][]string{{"iptables-save"}, {"ip", "-o", "link"}, {"ip", "route", "show", "table", "all", "type", "unreachable"}} {
			out, err := exec.Command(args[0], args[1:]...).Output()
			if err != nil {
				return err
			}
			if bytes.Contains(out, []byte("PINTLE")) || bytes.Contains(out, []byte("veth")) || bytes.Contains(out, []byte("10.44")) {
				return fmt.Errorf("left behind: %s", out)
			}
		}
		return nil
	})
}

// namespaceOf names a namespace of this test's process.
func namespaceOf(_ *testing.T, name string) string {
	return fmt.Sprintf("cnitest%d-%s", os.Getpid(), name)
}
