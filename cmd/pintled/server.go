package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/apiserver"
	"github.com/pintle-io/pintle/core/auth"
	"github.com/pintle-io/pintle/core/controlplane"
	"github.com/pintle-io/pintle/core/host"
	"github.com/pintle-io/pintle/core/host/manager"
	"github.com/pintle-io/pintle/core/housekeeping"
	"github.com/pintle-io/pintle/core/loop"
	"github.com/pintle-io/pintle/core/registry"
	"github.com/pintle-io/pintle/core/store"
	"github.com/pintle-io/pintle/core/store/badger"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// serverOptions are the flags of the API server and the control plane.
type serverOptions struct {
	listen      string
	advertise   string
	extraHosts  []string
	clusterCIDR string
	serviceCIDR string
	nodeMask    int
	nodePorts   string
	nodeGrace   time.Duration
}

func (o *serverOptions) addTo(flags *pflag.FlagSet) {
	flags.StringVar(&o.listen, "listen", ":6443", "address and port of the API server")
	flags.StringVar(&o.advertise, "advertise-address", "", "address by which nodes and clients reach the API server; that of the first network link by default")
	flags.StringSliceVar(&o.extraHosts, "tls-host", nil, "more names and addresses in the API server's certificate")
	flags.StringVar(&o.clusterCIDR, "cluster-cidr", "10.44.0.0/14", "range of pod addresses; every node gets a part of it")
	flags.IntVar(&o.nodeMask, "node-cidr-mask-size", 24, "prefix length of a node's part of the range of pod addresses")
	flags.StringVar(&o.serviceCIDR, "service-cidr", "10.43.0.0/16", "range of service addresses")
	flags.DurationVar(&o.nodeGrace, "node-grace-period", 40*time.Second, "how long a node may be silent before its pods are to leave it")
	flags.StringVar(&o.nodePorts, "node-ports", "30000-32767", "range of node ports")
}

// kinds reads the ranges.
func (o *serverOptions) kinds() (registry.Options, error) {
	var k registry.Options
	var err error
	if k.ClusterCIDR, err = netip.ParsePrefix(o.clusterCIDR); err != nil {
		return k, fmt.Errorf("--cluster-cidr: %w", err)
	}
	if k.ServiceCIDR, err = netip.ParsePrefix(o.serviceCIDR); err != nil {
		return k, fmt.Errorf("--service-cidr: %w", err)
	}
	if k.ClusterCIDR.Overlaps(k.ServiceCIDR) {
		return k, fmt.Errorf("--cluster-cidr %s and --service-cidr %s overlap: choose ranges that don't", k.ClusterCIDR, k.ServiceCIDR)
	}
	k.NodeMaskSize = o.nodeMask
	if _, err := fmt.Sscanf(o.nodePorts, "%d-%d", &k.NodePorts.First, &k.NodePorts.Last); err != nil || k.NodePorts.First < 1 || k.NodePorts.Last > 65535 || k.NodePorts.First > k.NodePorts.Last {
		return k, fmt.Errorf("--node-ports %q: write it as 30000-32767", o.nodePorts)
	}
	return k, k.Validate()
}

func newServerCommand() *cobra.Command {
	var p paths
	var s serverOptions
	var l logOptions
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run the API server, the store, and the plugins that decide",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := l.start(os.Stderr)
			if err != nil {
				return err
			}
			lock, err := p.prepare()
			if err != nil {
				return err
			}
			defer lock.Close()
			plane, err := newControlPlane(cmd.Context(), &p, &s, log)
			if err != nil {
				return err
			}
			defer plane.close()
			return plane.run(cmd.Context())
		},
	}
	p.addTo(cmd.Flags())
	s.addTo(cmd.Flags())
	l.addTo(cmd.Flags())
	return cmd
}

// controlPlane is everything of a server, made and not running yet.
type controlPlane struct {
	log       *slog.Logger
	opts      *serverOptions
	paths     *paths
	ranges    registry.Options
	address   netip.AddrPort
	metrics   *prometheus.Registry
	store     *badger.Store
	service   *api.Service
	authority *auth.Authority
	serving   *auth.Serving
	listener  net.Listener
	server    *apiserver.Server
	host      *host.Host
}

func newControlPlane(ctx context.Context, p *paths, o *serverOptions, log *slog.Logger) (c *controlPlane, err error) {
	c = &controlPlane{log: log, opts: o, paths: p, metrics: prometheus.NewRegistry()}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	c.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if c.ranges, err = o.kinds(); err != nil {
		return c, err
	}
	// The port first: it is what most often is in the way.
	if c.listener, err = net.Listen("tcp", o.listen); err != nil {
		return c, fmt.Errorf("listening on %s: %w: choose another address with --listen", o.listen, err)
	}
	if c.address, err = advertised(o.advertise, c.listener.Addr()); err != nil {
		return c, err
	}
	if c.store, err = badger.Open(badger.Options{Dir: p.store(), Logger: log, Metrics: c.metrics}); err != nil {
		return c, storeHint(err, p)
	}
	kinds, err := registry.New(registry.Builtin(c.ranges)...)
	if err != nil {
		return c, err
	}
	c.service = api.New(api.Options{Store: c.store, Kinds: kinds, Logger: log})
	if err := c.secure(); err != nil {
		return c, err
	}
	var defaults api.Defaults
	if !c.address.Addr().IsLoopback() {
		// Pods can't reach a loopback address, so without another one there is no
		// service to lead them there.
		defaults = api.Defaults{ServiceIP: c.ranges.ServiceCIDR.Masked().Addr().Next(), Server: c.address}
	}
	if err := c.service.EnsureDefaults(ctx, defaults); err != nil {
		return c, err
	}
	if err := controlplane.EnsurePlugins(ctx, c.service, controlplane.DefaultPlugins()); err != nil {
		return c, err
	}
	c.host, err = host.New(host.Options{RunDir: filepath.Join(p.run, "plugins"), Logger: log, Metrics: c.metrics})
	return c, err
}

// storeHint adds to the error of opening the store what to do about it.
func storeHint(err error, p *paths) error {
	if !errors.Is(err, store.ErrDamaged) {
		return err
	}
	return fmt.Errorf("%w\nnothing was changed. With a snapshot of \"pintle store save\" it is made again so:\n"+
		"  mv %[2]s %[2]s.damaged\n  pintle store restore --state-dir %[3]s SNAPSHOT", err, p.store(), p.state)
}

// secure makes the certificates, the API server and the administrator's
// kubeconfig.
func (c *controlPlane) secure() error {
	var err error
	if c.authority, err = auth.OpenAuthority(c.paths.pki()); err != nil {
		return err
	}
	hosts := c.hosts()
	if c.serving, err = c.authority.Serving("server", hosts); err != nil {
		return err
	}
	nodeClient, err := c.authority.IssueClient(auth.System("apiserver"))
	if err != nil {
		return err
	}
	nodeCert, err := nodeClient.TLS()
	if err != nil {
		return err
	}
	joiner := &auth.Joiner{Authority: c.authority, Secrets: c.secret, ServerHosts: hosts}
	c.server, err = apiserver.New(apiserver.Options{
		API: c.service, CA: c.authority.CertificatePEM(), Join: join(joiner),
		Registry: c.metrics, Logger: c.log, Version: apiversion.Info{GitVersion: apiVersion},
		Address: c.address.String(), NodeClient: &nodeCert, NodeCAs: c.authority.Pool(),
	})
	if err != nil {
		return err
	}
	admin, err := c.authority.IssueClient(auth.Admin())
	if err != nil {
		return err
	}
	config := auth.Kubeconfig("https://"+c.address.String(), c.authority.CertificatePEM(), auth.Admin().Name, admin)
	if err := clientcmd.WriteToFile(*config, c.paths.kubeconfig()); err != nil {
		return fmt.Errorf("writing the administrator's kubeconfig: %w", err)
	}
	return nil
}

// apiVersion is the version of the Kubernetes API that is served, which clients
// compare with their own.
const apiVersion = "v1.37.2+pintle"

// hosts are the names and addresses by which the API server is reached.
func (c *controlPlane) hosts() []string {
	hosts := append([]string{
		"localhost", "127.0.0.1", "::1", c.address.Addr().String(), c.ranges.ServiceCIDR.Masked().Addr().Next().String(),
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
	}, c.opts.extraHosts...)
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	return hosts
}

// secret reads a token's Secret as the server itself.
func (c *controlPlane) secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	target := api.Target{Resource: schema.GroupResource{Resource: "secrets"}, Namespace: namespace, Name: name}
	obj, err := c.service.Get(auth.WithUser(ctx, auth.System("join")), target, api.GetOptions{})
	if err != nil {
		return nil, err
	}
	secret, ok := obj.(*corev1.Secret)
	if !ok {
		return nil, fmt.Errorf("secret %s/%s is a %T", namespace, name, obj)
	}
	return secret, nil
}

func join(joiner *auth.Joiner) apiserver.JoinFunc {
	return func(ctx context.Context, body json.RawMessage) (any, error) {
		var req auth.JoinRequest
		if err := json.Unmarshal(body, &req); err != nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("the join request can't be read: %v", err))
		}
		return joiner.Join(ctx, auth.UserFrom(ctx), &req)
	}
}

// run serves until the context ends or a part fails.
func (c *controlPlane) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	config := apiserver.InProcessConfig(c.server.Handler(), auth.System("plugins"))
	client, err := manager.NewClient(config)
	if err != nil {
		return err
	}
	recorder, stopEvents, err := manager.NewRecorder(config, "pintled", "")
	if err != nil {
		return err
	}
	defer stopEvents()
	journal := loop.NewJournal(journalObjects, journalDecisions)
	source := loop.NewSource(c.service, c.log)
	loops := controlplane.NewLoops(ctx, controlplane.Options{
		API: c.service, Source: source, Kinds: c.service.Kinds(), Journal: journal, Logger: c.log, Metrics: c.metrics,
	})
	plugins, err := manager.New(manager.Options{
		Host: c.host, Client: client, PluginDir: c.paths.plugins, Logger: c.log, OnInstance: loops.OnChange,
		Recorder: recorder, NodeGone: c.nodeGone(ctx),
		Types: []pluginv1.PluginType{pluginv1.PluginType_PLUGIN_TYPE_SCHEDULER, pluginv1.PluginType_PLUGIN_TYPE_CONTROLLER},
	})
	if err != nil {
		return err
	}
	group.Go(func() error {
		return housekeeping.Run(ctx, housekeeping.Options{
			API: c.service, Source: source, Kinds: c.service.Kinds(), Journal: journal, Logger: c.log, Metrics: c.metrics,
			NodeGrace: c.opts.nodeGrace,
		})
	})
	group.Go(func() error { return c.server.Serve(ctx, c.listener, c.serving.TLS()) })
	group.Go(func() error { return plugins.Run(ctx) })
	group.Go(func() error {
		every(ctx, goneNodesCheck, plugins.Resync)
		return nil
	})
	c.log.Info("the API server listens", "address", c.address, "kubeconfig", c.paths.kubeconfig())
	err = endOf(group)
	loops.Wait()
	return err
}

// goneNodesCheck is how often plugins' statuses are freed of nodes that are gone.
const goneNodesCheck = time.Minute

// nodeGone tells whether a node does not exist any more.
func (c *controlPlane) nodeGone(ctx context.Context) func(name string) bool {
	ctx = auth.WithUser(ctx, auth.System("plugins"))
	return func(name string) bool {
		_, err := c.service.Get(ctx, api.Target{Resource: schema.GroupResource{Resource: "nodes"}, Name: name}, api.GetOptions{})
		return apierrors.IsNotFound(err)
	}
}

// every calls f again and again until ctx ends.
func every(ctx context.Context, period time.Duration, f func()) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f()
		}
	}
}

// How much the record of decisions holds: the newest decisions on each of the
// objects decided last.
const (
	journalObjects   = 5000
	journalDecisions = 20
)

func (c *controlPlane) close() {
	if c.host != nil {
		closePlugins(c.host, c.log)
	}
	if c.server != nil {
		c.server.Close()
	}
	if c.service != nil {
		c.service.Close()
	}
	if c.store != nil {
		if err := c.store.Close(); err != nil {
			c.log.Error("closing the store failed", "err", err)
		}
	}
	if c.listener != nil {
		c.listener.Close()
	}
}

// advertised is where others reach a listener.
func advertised(address string, listener net.Addr) (netip.AddrPort, error) {
	tcp, err := netip.ParseAddrPort(listener.String())
	if err != nil {
		return netip.AddrPort{}, err
	}
	switch {
	case address != "":
		ip, err := netip.ParseAddr(address)
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("--advertise-address: %w", err)
		}
		return netip.AddrPortFrom(ip, tcp.Port()), nil
	case !tcp.Addr().IsUnspecified():
		return tcp, nil
	}
	ip, err := machineAddress()
	return netip.AddrPortFrom(ip, tcp.Port()), err
}

// machineAddress is the first address of the first link that is up: the IPv4
// one where there is one; the loopback address on a machine without a network.
func machineAddress() (netip.Addr, error) {
	links, err := net.Interfaces()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("listing the network links: %w", err)
	}
	var found netip.Addr
	for _, link := range links {
		if link.Flags&net.FlagUp == 0 || link.Flags&(net.FlagLoopback|net.FlagPointToPoint) != 0 || ours(link.Name) {
			continue
		}
		addrs, err := link.Addrs()
		if err != nil {
			continue // The link went away.
		}
		for _, a := range addrs {
			prefix, err := netip.ParsePrefix(a.String())
			if err != nil || prefix.Addr().IsLinkLocalUnicast() {
				continue
			}
			if prefix.Addr().Is4() {
				return prefix.Addr(), nil
			}
			if !found.IsValid() {
				found = prefix.Addr()
			}
		}
	}
	if !found.IsValid() {
		found = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return found, nil
}

// ours are links of pods and of container tools, whose addresses reach nobody
// else.
func ours(name string) bool {
	for _, prefix := range []string{"veth", "cni", "docker", "br-", "virbr", "pintle"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
