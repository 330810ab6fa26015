package main

import (
	"context"
	"crypto/tls"
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
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/pintle-io/pintle/core/host"
	"github.com/pintle-io/pintle/core/host/manager"
	"github.com/pintle-io/pintle/core/node"
	"github.com/pintle-io/pintle/core/node/hosted"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// agentOptions are the flags of a node.
type agentOptions struct {
	name        string
	address     string
	listen      string
	labels      map[string]string
	maxPods     int
	clusterCIDR []string
	serviceCIDR []string
	dns         []string
	dnsDomain   string
}

func (o *agentOptions) addTo(flags *pflag.FlagSet) {
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	flags.StringVar(&o.name, "node-name", strings.ToLower(name), "name of this node")
	flags.StringVar(&o.address, "node-address", "", "address by which other nodes reach this one; that of the first network link by default")
	flags.StringVar(&o.listen, "node-listen", ":10250", "address and port that logs, exec and the like are served on")
	flags.StringToStringVar(&o.labels, "node-labels", nil, "labels that the node registers with, as key=value")
	flags.IntVar(&o.maxPods, "max-pods", node.DefaultMaxPods, "how many pods the node takes")
	flags.StringSliceVar(&o.dns, "cluster-dns", nil, "addresses of the cluster's DNS servers, for pods; without any they use the node's")
	flags.StringVar(&o.dnsDomain, "cluster-domain", "cluster.local", "DNS domain of the cluster")
}

// addRangesTo adds what a node of "pintled up" knows from the server.
func (o *agentOptions) addRangesTo(flags *pflag.FlagSet) {
	flags.StringSliceVar(&o.clusterCIDR, "cluster-cidr", []string{"10.44.0.0/14"}, "range of pod addresses, as the server has it")
	flags.StringSliceVar(&o.serviceCIDR, "service-cidr", []string{"10.43.0.0/16"}, "range of service addresses, as the server has it")
}

func newAgentCommand() *cobra.Command {
	var p paths
	var a agentOptions
	var l logOptions
	var server, token, kubeconfig string
	var hollow int
	cmd := &cobra.Command{
		Use:   "agent --server URL --token TOKEN | --hollow N",
		Short: "Run a node: what runs pods on this machine",
		Long: `Run a node: what runs pods on this machine.

The first time the node joins with a token from "pintle token create", and keeps
the certificate that it gets; later --token is not needed.

With --hollow it simulates many nodes that run no containers, for trials of large
clusters; their pods are selected by the label hollow=yes. Give it a state
directory of its own.`,
		Args: cobra.NoArgs,
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
			plugins, err := host.New(host.Options{RunDir: filepath.Join(p.run, "plugins"), Logger: log})
			if err != nil {
				return err
			}
			defer closePlugins(plugins, log)
			if hollow > 0 {
				return hollowAgent(cmd.Context(), hollow, kubeconfig, &p, plugins, log)
			}
			m, err := newMachine(&p, &a, plugins, log, prometheus.NewRegistry())
			if err != nil {
				return err
			}
			id, err := m.join(cmd.Context(), server, token)
			if err != nil {
				return err
			}
			group, ctx := errgroup.WithContext(cmd.Context())
			group.Go(func() error { return id.renew(ctx) })
			group.Go(func() error { return m.run(ctx) })
			return endOf(group)
		},
	}
	p.addTo(cmd.Flags())
	a.addTo(cmd.Flags())
	a.addRangesTo(cmd.Flags())
	l.addTo(cmd.Flags())
	cmd.Flags().StringVar(&server, "server", "", "URL of the API server, as https://HOST:6443")
	cmd.Flags().StringVar(&token, "token", os.Getenv("PINTLE_TOKEN"), "token to join with, the first time (also $PINTLE_TOKEN)")
	cmd.Flags().IntVar(&hollow, "hollow", 0, "simulate so many nodes, in place of running this one")
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", filepath.Join(envOr("PINTLE_STATE_DIR", defaultStateDir), "admin.kubeconfig"), "with --hollow: kubeconfig of an administrator")
	return cmd
}

// machine is this machine as a node, made and not running yet.
type machine struct {
	log     *slog.Logger
	paths   *paths
	opts    *agentOptions
	address netip.Addr
	host    *host.Host
	metrics *prometheus.Registry

	// How the node reaches the API, and who it is to its clients; join or the
	// server on the same machine sets them.
	api *rest.Config
	tls *tls.Config
}

func newMachine(p *paths, o *agentOptions, plugins *host.Host, log *slog.Logger, metrics *prometheus.Registry) (*machine, error) {
	m := &machine{log: log, paths: p, opts: o, host: plugins, metrics: metrics}
	var err error
	if o.address != "" {
		if m.address, err = netip.ParseAddr(o.address); err != nil {
			return nil, fmt.Errorf("--node-address: %w", err)
		}
		return m, nil
	}
	m.address, err = machineAddress()
	return m, err
}

// hosts are the names and addresses by which the node's agent is reached.
func (m *machine) hosts() []string { return []string{m.opts.name, m.address.String()} }

// run works until the context ends. Pods go on running.
func (m *machine) run(ctx context.Context) error {
	listener, err := net.Listen("tcp", m.opts.listen)
	if err != nil {
		return fmt.Errorf("listening on %s for logs and exec: %w: choose another address with --node-listen", m.opts.listen, err)
	}
	defer listener.Close()
	client, err := manager.NewClient(m.api)
	if err != nil {
		return err
	}
	recorder, stopEvents, err := manager.NewRecorder(m.api, "pintled", m.opts.name)
	if err != nil {
		return err
	}
	defer stopEvents()
	plugins := hosted.New()
	info := func() *pluginv1.NodeInfo {
		return &pluginv1.NodeInfo{
			Name: m.opts.name, Addresses: []string{m.address.String()},
			ClusterCidrs: m.opts.clusterCIDR, ServiceCidrs: m.opts.serviceCIDR,
			DnsServers: m.opts.dns, DnsDomain: m.opts.dnsDomain,
		}
	}
	managed, err := manager.New(manager.Options{
		Host: m.host, Client: client, PluginDir: m.paths.plugins, NodeName: m.opts.name, NodeInfo: info,
		NodeLabels: func() map[string]string { return m.opts.labels },
		StateDir:   m.paths.nodePlugins(""), RunDir: filepath.Join(m.paths.run, "node"),
		OnInstance: plugins.OnChange, Logger: m.log, Recorder: recorder,
		Types: []pluginv1.PluginType{
			pluginv1.PluginType_PLUGIN_TYPE_RUNTIME, pluginv1.PluginType_PLUGIN_TYPE_VOLUME,
			pluginv1.PluginType_PLUGIN_TYPE_NETWORK, pluginv1.PluginType_PLUGIN_TYPE_PROXY,
		},
	})
	if err != nil {
		return err
	}
	managed.OnChange(recordPlugins(m.paths, m.log))
	agent, err := node.New(node.Options{
		Name: m.opts.name, RestConfig: m.api, Plugins: plugins, RootDir: m.paths.node(),
		Addresses: []string{m.address.String()}, NodeInfo: info, Labels: m.opts.labels, MaxPods: m.opts.maxPods,
		ClusterDNS: m.opts.dns, ClusterDomain: m.opts.dnsDomain, Version: version,
		Listener: listener, TLS: m.tls, Logger: m.log, Metrics: m.metrics, Gatherer: m.metrics,
	})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return managed.Run(ctx) })
	group.Go(func() error { return agent.Run(ctx) })
	return endOf(group)
}

// endOf waits for a group that ends with its context.
func endOf(group *errgroup.Group) error {
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// pluginsEnd bounds how long plugins may take to end.
const pluginsEnd = 20 * time.Second

func closePlugins(h *host.Host, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), pluginsEnd)
	defer cancel()
	if err := h.Close(ctx); err != nil {
		log.Error("ending the plugins failed", "err", err)
	}
}
