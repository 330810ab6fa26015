package hosted

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/pintle-io/pintle/core/host"
	"github.com/pintle-io/pintle/core/host/manager"
	"github.com/pintle-io/pintle/core/node"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/network"
	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/proxy"
	"github.com/pintle-io/pintle/sdk/runtime"
	"github.com/pintle-io/pintle/sdk/volume"
)

// Plugins are those that run now. Its OnChange is a listener of the manager.
type Plugins struct {
	mu sync.Mutex
	// running has, by type and name, the instance or why there is none.
	running     map[key]running
	subscribers map[int]func()
	nextID      int
}

type key struct {
	kind pluginv1.PluginType
	name string
}

type running struct {
	instance *host.Instance
	err      error
}

var _ node.Plugins = (*Plugins)(nil)

// New returns a Plugins that knows of none yet.
func New() *Plugins {
	return &Plugins{running: map[key]running{}, subscribers: map[int]func(){}}
}

// OnChange takes over what the manager tells. Calls under way on a replaced
// instance end with it: the agent repeats them, as every verb is idempotent.
func (p *Plugins) OnChange(c manager.Change) {
	p.mu.Lock()
	k := key{c.Type, c.Name}
	if c.Instance == nil && c.Err == nil {
		delete(p.running, k)
	} else {
		p.running[k] = running{c.Instance, c.Err}
	}
	tell := slices.Collect(maps.Values(p.subscribers))
	p.mu.Unlock()
	c.Release()
	for _, changed := range tell {
		changed()
	}
}

// Subscribe implements node.Plugins.
func (p *Plugins) Subscribe(changed func()) (unsubscribe func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := p.nextID
	p.nextID++
	p.subscribers[id] = changed
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.subscribers, id)
	}
}

// Runtime implements node.Plugins.
func (p *Plugins) Runtime() (runtime.Runtime, error) {
	i, err := p.only(pluginv1.PluginType_PLUGIN_TYPE_RUNTIME)
	if err != nil {
		return nil, err
	}
	return runtime.NewClient(i.Conn()), nil
}

// Network implements node.Plugins.
func (p *Plugins) Network() (network.Network, error) {
	i, err := p.only(pluginv1.PluginType_PLUGIN_TYPE_NETWORK)
	if err != nil {
		return nil, err
	}
	return network.NewClient(i.Conn()), nil
}

// Proxy implements node.Plugins.
func (p *Plugins) Proxy() (node.ProxyPlugin, error) {
	i, err := p.only(pluginv1.PluginType_PLUGIN_TYPE_PROXY)
	if err != nil {
		return nil, err
	}
	return proxy.NewClient(i.Conn()), nil
}

// Volume implements node.Plugins.
func (p *Plugins) Volume(name string) (volume.Volume, error) {
	p.mu.Lock()
	r, ok := p.running[key{pluginv1.PluginType_PLUGIN_TYPE_VOLUME, name}]
	p.mu.Unlock()
	if !ok {
		return nil, errs.NotFound("no plugin serves volumes of type %s on this node", name).
			WithReason("VolumePluginMissing").WithHint(fmt.Sprintf("make a Plugin of type volume with the name %s", name))
	}
	if err := r.usable("volume/" + name); err != nil {
		return nil, err
	}
	return volume.NewClient(r.instance.Conn()), nil
}

// only finds the one plugin of a type. Where several run, one that works is
// preferred, by name.
func (p *Plugins) only(kind pluginv1.PluginType) (*host.Instance, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for k := range p.running {
		if k.kind == kind {
			names = append(names, k.name)
		}
	}
	slices.Sort(names)
	err := error(errs.Unavailable("no %s plugin runs on this node", plugin.TypeName(kind)).
		WithHint("see \"kubectl get plugins\""))
	for i, name := range names {
		r := p.running[key{kind, name}]
		bad := r.usable(plugin.TypeName(kind) + "/" + name)
		if bad == nil {
			return r.instance, nil
		}
		if i == 0 {
			err = bad
		}
	}
	return nil, err
}

// usable says why the plugin can't be called now.
func (r running) usable(id string) error {
	if r.instance == nil {
		return errs.PluginGone("plugin %s does not run: %v", id, r.err).WithHint(errs.Hint(r.err))
	}
	select {
	case <-r.instance.Done():
		return errs.PluginGone("plugin %s ended: %v", id, r.instance.Err())
	default:
		return nil
	}
}
