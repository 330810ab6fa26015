package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"github.com/pintle-io/pintle/core/node/internal/events"
	"github.com/pintle-io/pintle/core/node/internal/eviction"
	"github.com/pintle-io/pintle/core/node/internal/images"
	"github.com/pintle-io/pintle/core/node/internal/machine"
	"github.com/pintle-io/pintle/core/node/internal/nodestatus"
	"github.com/pintle-io/pintle/core/node/internal/objects"
	"github.com/pintle-io/pintle/core/node/internal/pods"
	"github.com/pintle-io/pintle/core/node/internal/podspec"
	"github.com/pintle-io/pintle/core/node/internal/routes"
	"github.com/pintle-io/pintle/core/node/internal/runtimeview"
	"github.com/pintle-io/pintle/core/node/internal/services"
	"github.com/pintle-io/pintle/core/node/internal/statuswriter"
	"github.com/pintle-io/pintle/core/node/internal/volumes"
)

// sweepPeriod is between two looks for what belongs to no pod.
const sweepPeriod = time.Minute

// Agent of one node.
type Agent struct {
	o      Options
	client kubernetes.Interface
	log    *slog.Logger
	info   machine.Info
}

// New checks the options and prepares the node's directories.
func New(o Options) (*Agent, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	client, err := NewClient(o.RestConfig)
	if err != nil {
		return nil, fmt.Errorf("node %s: reaching the API: %w", o.Name, err)
	}
	return newAgent(o, client)
}

func newAgent(o Options, client kubernetes.Interface) (*Agent, error) {
	info, err := machine.Read()
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", o.Name, err)
	}
	for _, dir := range []string{o.RootDir, o.LogDir, filepath.Join(o.RootDir, "pods")} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return nil, fmt.Errorf("node %s: %w", o.Name, err)
		}
	}
	return &Agent{o: o, client: client, log: o.Logger.With("node", o.Name), info: info}, nil
}

// NewClient makes the typed client. The API server limits clients; a limit of
// the client's own would only slow a busy node down.
func NewClient(c *rest.Config) (kubernetes.Interface, error) {
	c = rest.CopyConfig(c)
	c.QPS = -1
	if c.UserAgent == "" {
		c.UserAgent = "pintle-node"
	}
	return kubernetes.NewForConfig(c)
}

// parts of a running agent.
type parts struct {
	events   record.EventRecorder
	cluster  *cluster
	view     *runtimeview.View
	images   *images.Manager
	pods     *pods.Manager
	status   *statuswriter.Writer
	routes   *routes.Keeper
	feed     *services.Feed
	keeper   *nodestatus.Keeper
	measurer *measurer
	volumes  *volumes.Manager
	objects  *objects.Cache
	eviction *eviction.Manager
}

// Run works until ctx ends. Pods go on running.
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := a.wire(ctx)
	var wg sync.WaitGroup
	defer p.objects.Wait()
	defer wg.Wait()
	defer cancel()
	failed := make(chan error, 1)

	wg.Go(func() { p.keeper.Run(ctx) })
	wg.Go(func() { p.view.Run(ctx) })
	wg.Go(func() { p.status.Run(ctx) })
	wg.Go(func() { p.cluster.run(ctx) })
	wg.Go(func() { p.pods.Run(ctx) })
	wg.Go(func() { p.routes.Run(ctx) })
	wg.Go(func() { p.feed.Run(ctx) })
	wg.Go(func() { a.sweep(ctx, p) })
	a.upkeep(ctx, &wg, p, failed)
	a.log.Info("the node agent is running", "addresses", a.o.Addresses)
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// wire makes the parts and ties them together.
func (a *Agent) wire(ctx context.Context) *parts {
	p := &parts{events: events.NewRecorder(ctx, a.client, a.o.Name)}
	p.objects = objects.New(ctx, a.client, a.log, func(uid podUID) { p.pods.ObjectsChanged(uid) })
	p.view = runtimeview.New(a.o.Plugins, a.log, func(uid podUID) {
		if uid == "" {
			p.keeper.Wake() // The runtime itself came or went.
		}
		p.pods.Wake(uid)
	})
	p.images = images.New(images.Options{Plugins: a.o.Plugins, Objects: p.objects, Events: p.events, Clock: clock.RealClock{}, Log: a.log})
	p.status = statuswriter.New(a.client, a.log)
	p.cluster = newCluster(a.client, a.o.Name, a.log)
	p.measurer = &measurer{o: &a.o, info: a.info, view: p.view, log: a.log}
	p.keeper = nodestatus.New(nodestatus.Options{
		Name: a.o.Name, Client: a.client, Labels: nodeLabels(a.o.Name, a.o.Labels), Taints: a.o.Taints,
		Measure: p.measurer.measure, Events: p.events, Log: a.log,
	})
	p.volumes = volumes.New(volumes.Options{
		PodsDir: filepath.Join(a.o.RootDir, "pods"), Plugins: a.o.Plugins, Objects: p.objects,
		Allocatable: func() corev1.ResourceList {
			if n := p.keeper.Node(); n != nil {
				return n.Status.Allocatable
			}
			return nil
		},
		Log: a.log,
	})
	p.pods = pods.New(pods.Options{
		Plugins: a.o.Plugins, View: p.view, Volumes: p.volumes, Objects: p.objects, Images: p.images,
		Status: p.status, Events: p.events, Clock: clock.RealClock{}, Log: a.log,
		Node: p.keeper.Node, Services: p.cluster.allServices, HostIPs: a.o.Addresses, Hostname: a.info.Hostname,
		DNS:    podspec.ClusterDNS{Servers: a.o.ClusterDNS, Domain: a.o.ClusterDomain},
		LogDir: a.o.LogDir, SeccompDir: filepath.Join(a.o.RootDir, "seccomp"), CgroupRoot: a.o.CgroupRoot,
		RuntimeName: p.measurer.runtimeName,
	})
	p.routes = routes.New(routes.Options{
		Name: a.o.Name, Plugins: a.o.Plugins, Nodes: p.cluster.allNodes, Info: a.o.NodeInfo,
		Changed: func() { p.keeper.Wake() }, Log: a.log,
	})
	p.feed = services.NewFeed(a.o.Plugins, p.cluster, a.o.Name, p.events, a.log)
	p.eviction = a.newEviction(p)
	p.measurer.network, p.measurer.pressure = p.routes.Ready, p.pressure
	p.cluster.onPod, p.cluster.onPodGone, p.cluster.onPodsKnown = p.pods.Update, p.pods.Delete, p.pods.Known
	p.cluster.onNode = func(n *corev1.Node) {
		p.keeper.Observe(n)
		p.routes.Wake()
	}
	p.cluster.onService = p.feed.Changed
	p.cluster.onServicesKnown = func() { p.pods.Wake("") }
	unsubscribe := a.o.Plugins.Subscribe(p.keeper.Wake)
	context.AfterFunc(ctx, unsubscribe)
	return p
}

// sweep looks for what belongs to no pod.
func (a *Agent) sweep(ctx context.Context, p *parts) {
	tick := time.NewTicker(sweepPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-p.pods.Orphans():
		}
		p.pods.Sweep()
	}
}
