package routes

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"

	"github.com/pintle-io/pintle/core/node/internal/plugins"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

const (
	callTimeout = 30 * time.Second
	minRetry    = 200 * time.Millisecond
	maxRetry    = 10 * time.Second
	// repeatPeriod makes good what somebody else took away.
	repeatPeriod = 5 * time.Minute
)

// Options of a Keeper.
type Options struct {
	Name    string
	Plugins plugins.Lookup
	// Nodes of the cluster; false until they are known.
	Nodes func() ([]*corev1.Node, bool)
	// Info of this node without its pod ranges.
	Info func() *pluginv1.NodeInfo
	// Changed is called when Ready's answer changed.
	Changed func()
	Log     *slog.Logger
}

// Keeper of the routes.
type Keeper struct {
	o    Options
	wake chan struct{}
	// unreached are the nodes whose pods can't be reached, with why; Run's alone.
	unreached map[string]string

	mu  sync.Mutex
	err error
}

// New makes a Keeper.
func New(o Options) *Keeper {
	return &Keeper{o: o, wake: make(chan struct{}, 1), err: errs.Unavailable("the network is being set up")}
}

// Wake looks again.
func (k *Keeper) Wake() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Ready is nil when pods can be given addresses and routes are in force.
func (k *Keeper) Ready() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// Run works until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	var restarted sync.Mutex
	fresh := true
	unsubscribe := k.o.Plugins.Subscribe(func() {
		restarted.Lock()
		fresh = true
		restarted.Unlock()
		k.Wake()
	})
	defer unsubscribe()
	var sent *pluginv1.SetRoutesRequest
	var sentAt time.Time
	retry := minRetry
	for {
		restarted.Lock()
		again := fresh
		fresh = false
		restarted.Unlock()
		if again || time.Since(sentAt) >= repeatPeriod {
			sent = nil
		}
		req, err := k.request()
		if err == nil && !proto.Equal(req, sent) {
			if err = k.send(ctx, req); err == nil {
				sent, sentAt = req, time.Now()
			}
		}
		if ctx.Err() != nil {
			return
		}
		k.set(err)
		wait := repeatPeriod
		if err != nil {
			wait, retry = retry, min(2*retry, maxRetry)
		} else {
			retry = minRetry
		}
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
		case <-time.After(wait):
		}
	}
}

func (k *Keeper) set(err error) {
	k.mu.Lock()
	changed := errs.Text(k.err) != errs.Text(err)
	k.err = err
	k.mu.Unlock()
	if !changed {
		return
	}
	if err != nil {
		k.o.Log.Warn("the pod network is not ready", "error", err)
	}
	k.o.Changed()
}

func (k *Keeper) send(ctx context.Context, req *pluginv1.SetRoutesRequest) error {
	n, err := k.o.Plugins.Network()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	res, err := n.SetRoutes(ctx, req)
	if err != nil {
		return err
	}
	k.noteUnreached(res.GetErrors())
	return nil
}

// noteUnreached says which nodes' pods can't be reached, where that is news. It
// keeps this node from nothing: the others are reached.
func (k *Keeper) noteUnreached(nodes map[string]string) {
	if maps.Equal(nodes, k.unreached) {
		return
	}
	k.unreached = nodes
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		k.o.Log.Warn("pods of other nodes can't be reached", "nodes", len(nodes), "first", name, "error", nodes[name])
		return
	}
}

// request says which nodes there are.
func (k *Keeper) request() (*pluginv1.SetRoutesRequest, error) {
	nodes, ok := k.o.Nodes()
	if !ok {
		return nil, errs.Unavailable("the nodes of the cluster have not been read yet")
	}
	info := proto.Clone(k.o.Info()).(*pluginv1.NodeInfo)
	info.PodCidrs = nil
	req := &pluginv1.SetRoutesRequest{Node: info}
	for _, n := range nodes {
		cidrs := n.Spec.PodCIDRs
		if len(cidrs) == 0 && n.Spec.PodCIDR != "" {
			cidrs = []string{n.Spec.PodCIDR}
		}
		if n.Name == k.o.Name {
			info.PodCidrs = cidrs
			continue
		}
		route := &pluginv1.NodeRoute{Name: n.Name, PodCidrs: cidrs}
		for _, a := range n.Status.Addresses {
			if a.Type == corev1.NodeInternalIP {
				route.Addresses = append(route.Addresses, a.Address)
			}
		}
		if len(route.Addresses) > 0 && len(cidrs) > 0 {
			req.Routes = append(req.Routes, route)
		}
	}
	if len(info.PodCidrs) == 0 {
		return nil, errs.FailedPrecondition("node %s has no range of pod addresses (spec.podCIDR) yet", k.o.Name)
	}
	slices.SortFunc(req.Routes, func(a, b *pluginv1.NodeRoute) int { return cmp.Compare(a.Name, b.Name) })
	return req, nil
}
