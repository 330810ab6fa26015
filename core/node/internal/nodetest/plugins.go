package nodetest

import (
	"context"
	"fmt"
	"sync"

	"github.com/pintle-io/pintle/core/node/internal/plugins"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/network"
	"github.com/pintle-io/pintle/sdk/runtime"
	"github.com/pintle-io/pintle/sdk/volume"
)

// Plugins is a lookup whose plugins can go and come.
type Plugins struct {
	mu      sync.Mutex
	runtime runtime.Runtime
	network network.Network
	proxy   plugins.Proxy
	volumes map[string]volume.Volume
	subs    map[int]func()
	next    int
}

var _ plugins.Lookup = (*Plugins)(nil)

// NewPlugins makes a lookup with these plugins, any of which may be nil.
func NewPlugins(rt runtime.Runtime, n network.Network) *Plugins {
	return &Plugins{runtime: rt, network: n, volumes: map[string]volume.Volume{}, subs: map[int]func(){}}
}

// SetRuntime swaps the runtime.
func (p *Plugins) SetRuntime(rt runtime.Runtime) { p.change(func() { p.runtime = rt }) }

// SetNetwork swaps the network.
func (p *Plugins) SetNetwork(n network.Network) { p.change(func() { p.network = n }) }

// SetProxy swaps the proxy.
func (p *Plugins) SetProxy(x plugins.Proxy) { p.change(func() { p.proxy = x }) }

// SetVolume swaps a volume type.
func (p *Plugins) SetVolume(name string, v volume.Volume) { p.change(func() { p.volumes[name] = v }) }

func (p *Plugins) change(f func()) {
	p.mu.Lock()
	f()
	subs := make([]func(), 0, len(p.subs))
	for _, s := range p.subs {
		subs = append(subs, s)
	}
	p.mu.Unlock()
	for _, s := range subs {
		s()
	}
}

// Subscribe calls changed after each Set.
func (p *Plugins) Subscribe(changed func()) func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := p.next
	p.next++
	p.subs[id] = changed
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.subs, id)
	}
}

// Runtime that is set.
func (p *Plugins) Runtime() (runtime.Runtime, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.runtime == nil {
		return nil, errs.PluginGone("the runtime plugin is not running")
	}
	return p.runtime, nil
}

// Network that is set.
func (p *Plugins) Network() (network.Network, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.network == nil {
		return nil, errs.PluginGone("the network plugin is not running")
	}
	return p.network, nil
}

// Proxy that is set.
func (p *Plugins) Proxy() (plugins.Proxy, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proxy == nil {
		return nil, errs.PluginGone("the proxy plugin is not running")
	}
	return p.proxy, nil
}

// Volume that is set.
func (p *Plugins) Volume(name string) (volume.Volume, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v := p.volumes[name]; v != nil {
		return v, nil
	}
	return nil, errs.NotFound("no volume plugin %q", name)
}

// Network hands out addresses.
type Network struct {
	mu       sync.Mutex
	attached map[string]string
	routes   *pluginv1.SetRoutesRequest
	pruned   int
	next     int
}

var _ network.Network = (*Network)(nil)

// NewNetwork makes an empty network.
func NewNetwork() *Network { return &Network{attached: map[string]string{}} }

// Attached sandboxes.
func (n *Network) Attached() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.attached)
}

// Routes last set.
func (n *Network) Routes() *pluginv1.SetRoutesRequest {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.routes
}

// Attach gives the same sandbox the same address.
func (n *Network) Attach(ctx context.Context, req *pluginv1.AttachNetworkRequest) (*pluginv1.AttachNetworkResponse, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.attached[req.SandboxId] == "" {
		n.next++
		n.attached[req.SandboxId] = fmt.Sprintf("10.88.0.%d", n.next)
	}
	return &pluginv1.AttachNetworkResponse{Addresses: []string{n.attached[req.SandboxId]}}, ctx.Err()
}

// Detach forgets.
func (n *Network) Detach(ctx context.Context, req *pluginv1.DetachNetworkRequest) (*pluginv1.DetachNetworkResponse, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.attached, req.SandboxId)
	return &pluginv1.DetachNetworkResponse{}, ctx.Err()
}

// Prune forgets all others.
func (n *Network) Prune(ctx context.Context, req *pluginv1.PruneNetworkRequest) (*pluginv1.PruneNetworkResponse, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pruned++
	keep := map[string]bool{}
	for _, id := range req.SandboxIds {
		keep[id] = true
	}
	res := &pluginv1.PruneNetworkResponse{}
	for id := range n.attached {
		if !keep[id] {
			delete(n.attached, id)
			res.Detached = append(res.Detached, id)
		}
	}
	return res, ctx.Err()
}

// SetRoutes remembers.
func (n *Network) SetRoutes(ctx context.Context, req *pluginv1.SetRoutesRequest) (*pluginv1.SetRoutesResponse, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.routes = req
	return &pluginv1.SetRoutesResponse{}, ctx.Err()
}

// Leave forgets everything.
func (n *Network) Leave(ctx context.Context, _ *pluginv1.LeaveNetworkRequest) (*pluginv1.LeaveNetworkResponse, error) {
	return &pluginv1.LeaveNetworkResponse{}, ctx.Err()
}

// Volume type whose volumes are their targets.
type Volume struct {
	mu      sync.Mutex
	mounted map[string]*pluginv1.MountVolumeRequest
	// OnMount may fail or hang.
	OnMount func(ctx context.Context, req *pluginv1.MountVolumeRequest) error
}

var _ volume.Volume = (*Volume)(nil)

// NewVolume makes a volume type.
func NewVolume() *Volume { return &Volume{mounted: map[string]*pluginv1.MountVolumeRequest{}} }

// Mounted volumes by ID.
func (v *Volume) Mounted() map[string]*pluginv1.MountVolumeRequest {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := map[string]*pluginv1.MountVolumeRequest{}
	for k, r := range v.mounted {
		out[k] = r
	}
	return out
}

// Mount remembers.
func (v *Volume) Mount(ctx context.Context, req *pluginv1.MountVolumeRequest) (*pluginv1.MountVolumeResponse, error) {
	if v.OnMount != nil {
		if err := v.OnMount(ctx, req); err != nil {
			return nil, err
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.mounted[req.VolumeId] = req
	return &pluginv1.MountVolumeResponse{Path: req.TargetPath}, nil
}

// Unmount forgets.
func (v *Volume) Unmount(ctx context.Context, req *pluginv1.UnmountVolumeRequest) (*pluginv1.UnmountVolumeResponse, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.mounted, req.VolumeId)
	return &pluginv1.UnmountVolumeResponse{}, ctx.Err()
}
