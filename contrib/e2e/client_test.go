package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// dial connects from the host's network: a socket belongs to the network of the
// thread that made it.
func (h *host) dial(ctx context.Context, network, address string) (net.Conn, error) {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	defer home.Close()
	there, err := os.Open("/run/netns/" + h.name)
	if err != nil {
		return nil, err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		// The thread stays locked, and so ends with this goroutine.
		return nil, fmt.Errorf("leaving the network of %s: %w", h.name, back)
	}
	runtime.UnlockOSThread()
	return conn, err
}

// web is a client on the host that makes a connection for each request, as
// clients that don't know each other do.
func (h *host) web(timeout time.Duration) *http.Client {
	return &http.Client{Timeout: timeout, Transport: &http.Transport{DialContext: h.dial, DisableKeepAlives: true}}
}

// admin is the administrator's access to the host's API server, for tests that
// ask too often for a kubectl each.
func (h *host) admin() *rest.Config {
	h.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(h.stateDir(), "admin.kubeconfig"))
	if err != nil {
		h.t.Fatal(err)
	}
	config.Dial = h.dial
	config.QPS = -1
	config.Timeout = 30 * time.Second
	return config
}

func (h *host) clientset() *kubernetes.Clientset {
	h.t.Helper()
	c, err := kubernetes.NewForConfig(h.admin())
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}
