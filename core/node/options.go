package node

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	goruntime "runtime"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/pintle-io/pintle/core/node/internal/machine"
	"github.com/pintle-io/pintle/core/node/internal/plugins"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// Plugins finds the plugins that run on the node now; see its methods. The
// clients of sdk/runtime, sdk/volume, sdk/network and sdk/proxy are what it
// returns.
type Plugins = plugins.Lookup

// ProxyPlugin is the core's side of a proxy plugin.
type ProxyPlugin = plugins.Proxy

const defaultCgroupRoot = "/pintle"

// DefaultMaxPods of a node.
const DefaultMaxPods = 110

// Options of an Agent.
type Options struct {
	// Name of the node.
	Name string
	// RestConfig reaches the API as the node's user.
	RestConfig *rest.Config
	Plugins    Plugins
	// RootDir is the agent's own directory, such as <state>/node; it is made
	// where it does not exist. Logs lie in LogDir, by default RootDir/logs.
	RootDir, LogDir string
	// Addresses of the node, the one for traffic between nodes first; by default
	// the one that the default route uses.
	Addresses []string
	// NodeInfo is what plugins know of the node, without its pod ranges; by
	// default made from Name and Addresses.
	NodeInfo func() *pluginv1.NodeInfo
	// Labels beside those that every node has, and Taints at registration.
	Labels map[string]string
	Taints []corev1.Taint
	// MaxPods, by default DefaultMaxPods; Reserved is kept back from what pods
	// may use.
	MaxPods  int
	Reserved corev1.ResourceList
	// ClusterDNS and ClusterDomain of pods with dnsPolicy ClusterFirst. Without
	// servers such pods use the node's resolver.
	ClusterDNS    []string
	ClusterDomain string
	// CgroupRoot is the parent of all pods' cgroups, by default "/pintle".
	CgroupRoot string
	// Version of Pintle, shown as the node's.
	Version string

	// Listener of the HTTPS endpoint, or nil for none; TLS has the serving
	// certificate and, in ClientCAs, the cluster's authority.
	Listener net.Listener
	TLS      *tls.Config

	Logger *slog.Logger
	// Metrics are registered there; Gatherer serves /metrics. Both may be nil.
	Metrics  prometheus.Registerer
	Gatherer prometheus.Gatherer
}

func (o *Options) complete() error {
	switch {
	case o.Name == "":
		return errors.New("the node needs a name")
	case o.RestConfig == nil:
		return fmt.Errorf("node %s: no way to the API is given", o.Name)
	case o.Plugins == nil:
		return fmt.Errorf("node %s: no plugins are given", o.Name)
	case o.RootDir == "":
		return fmt.Errorf("node %s: no directory is given", o.Name)
	case o.Listener != nil && (o.TLS == nil || o.TLS.ClientCAs == nil):
		return fmt.Errorf("node %s: the endpoint needs a serving certificate and the authority of its clients", o.Name)
	}
	if o.LogDir == "" {
		o.LogDir = filepath.Join(o.RootDir, "logs")
	}
	if len(o.Addresses) == 0 {
		o.Addresses = machine.Addresses()
	}
	if o.NodeInfo == nil {
		info := &pluginv1.NodeInfo{Name: o.Name, Addresses: o.Addresses}
		o.NodeInfo = func() *pluginv1.NodeInfo { return info }
	}
	if o.MaxPods <= 0 {
		o.MaxPods = DefaultMaxPods
	}
	if o.CgroupRoot == "" {
		o.CgroupRoot = defaultCgroupRoot
	}
	if o.ClusterDomain == "" {
		o.ClusterDomain = "cluster.local"
	}
	if o.Version == "" {
		o.Version = "v0.0.0-dev"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return nil
}

// nodeLabels are those of every node.
func nodeLabels(name string, more map[string]string) map[string]string {
	labels := map[string]string{
		corev1.LabelHostname: name, corev1.LabelOSStable: goruntime.GOOS, corev1.LabelArchStable: goruntime.GOARCH,
	}
	for k, v := range more {
		labels[k] = v
	}
	return labels
}
