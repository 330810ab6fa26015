package apiserver_test

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/apiserver"
	"github.com/pintle-io/pintle/core/auth"
	"github.com/pintle-io/pintle/core/registry"
	"github.com/pintle-io/pintle/core/store/badger"
)

// cluster is an API server on loopback over a store of its own.
type cluster struct {
	t         testing.TB
	ca        *auth.Authority
	api       *api.Service
	server    *apiserver.Server
	address   string
	cancel    context.CancelFunc
	served    chan error
	adminFile string
}

// newCluster starts one; change may alter its options.
func newCluster(t testing.TB, change func(*apiserver.Options)) *cluster {
	t.Helper()
	log := slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	store, err := badger.Open(badger.Options{Dir: filepath.Join(t.TempDir(), "store"), Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := registry.New(registry.Builtin(registry.Options{})...)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, served: make(chan error, 1)}
	if c.ca, err = auth.OpenAuthority(filepath.Join(t.TempDir(), "pki")); err != nil {
		t.Fatal(err)
	}
	c.api = api.New(api.Options{Store: store, Kinds: kinds, Logger: log})
	if err := c.api.EnsureDefaults(t.Context(), api.Defaults{ServiceIP: netip.MustParseAddr("10.43.0.1")}); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.address = listener.Addr().String()
	nodeClient, err := c.issue(auth.System("apiserver")).TLS()
	if err != nil {
		t.Fatal(err)
	}
	opts := apiserver.Options{
		API: c.api, Logger: log, Address: c.address, CA: c.ca.CertificatePEM(),
		NodeClient: &nodeClient, NodeCAs: c.ca.Pool(),
	}
	if change != nil {
		change(&opts)
	}
	if c.server, err = apiserver.New(opts); err != nil {
		t.Fatal(err)
	}
	serving, err := c.ca.Serving("server", []string{"127.0.0.1", "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	go func() { c.served <- c.server.Serve(ctx, listener, serving.TLS()) }()
	t.Cleanup(func() {
		cancel()
		if err := <-c.served; err != nil {
			t.Errorf("serve: %v", err)
		}
		c.server.Close()
		c.api.Close()
		if err := store.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return c
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func (c *cluster) issue(u auth.User) auth.KeyPair {
	c.t.Helper()
	pair, err := c.ca.IssueClient(u)
	if err != nil {
		c.t.Fatal(err)
	}
	return pair
}

// config is of a client that is the given user.
func (c *cluster) config(u auth.User) *rest.Config {
	c.t.Helper()
	config := auth.RESTConfig("https://"+c.address, c.ca.CertificatePEM(), c.issue(u))
	config.QPS = -1
	return config
}

func (c *cluster) admin() *rest.Config { return c.config(auth.Admin()) }

func (c *cluster) clientset(config *rest.Config) *kubernetes.Clientset {
	c.t.Helper()
	set, err := kubernetes.NewForConfig(config)
	if err != nil {
		c.t.Fatal(err)
	}
	return set
}

// kubeconfig writes the admin's.
func (c *cluster) kubeconfig() string {
	c.t.Helper()
	if c.adminFile != "" {
		return c.adminFile
	}
	file := auth.Kubeconfig("https://"+c.address, c.ca.CertificatePEM(), "admin", c.issue(auth.Admin()))
	c.adminFile = filepath.Join(c.t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*file, c.adminFile); err != nil {
		c.t.Fatal(err)
	}
	return c.adminFile
}

// kubectlCommand is an unmodified kubectl as the admin.
func (c *cluster) kubectlCommand(stdin string, args ...string) *exec.Cmd {
	c.t.Helper()
	path, err := exec.LookPath("kubectl")
	if err != nil {
		c.t.Fatalf("these tests need kubectl: %v", err)
	}
	cmd := exec.CommandContext(c.t.Context(), path, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig(), "HOME="+filepath.Dir(c.kubeconfig()), "NO_PROXY=127.0.0.1")
	cmd.Stdin = strings.NewReader(stdin)
	return cmd
}

// kubectl runs it and returns all that it printed.
func (c *cluster) kubectl(stdin string, args ...string) (string, error) {
	c.t.Helper()
	out, err := c.kubectlCommand(stdin, args...).CombinedOutput()
	return string(out), err
}

// mustKubectl fails the test where kubectl fails.
func (c *cluster) mustKubectl(stdin string, args ...string) string {
	c.t.Helper()
	out, err := c.kubectl(stdin, args...)
	if err != nil {
		c.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// eventually polls until the condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 30 s for %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
