package manager

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pintle-io/pintle/core/host"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	pintlev1 "github.com/pintle-io/pintle/sdk/api/v1"
)

// Change says that a plugin has another instance, or another object.
type Change struct {
	// Type and Name of the plugin.
	Type pluginv1.PluginType
	Name string
	// Object is the Plugin that asks for it. It must not be changed.
	Object *pintlev1.Plugin
	// Instance is the one to use from now on; nil while there is none. It is
	// the same as before where only the object changed: its mode or
	// permissions.
	Instance *host.Instance
	// Old is the instance that a swap replaced; see Release.
	Old *host.Instance
	// Release says that this listener no longer uses Old, which is stopped when
	// all listeners said so. It is never nil and may be called again.
	Release func()
	// Err is why there is no instance.
	Err error
}

// Plugin is a plugin that is managed here.
type Plugin struct {
	Type       pluginv1.PluginType
	Name       string
	Object     *pintlev1.Plugin // must not be changed
	Supervisor *host.Supervisor
}

// OnChange calls f for every instance that is there and then for every change,
// one at a time and in order. f must not block and must not call the manager's
// OnChange; long work goes to a goroutine, which is what Release is for. The
// returned function ends it.
func (m *Manager) OnChange(f func(Change)) (cancel func()) {
	m.telling.Lock()
	defer m.telling.Unlock()
	id := m.nextID
	m.nextID++
	m.listeners[id] = f
	m.mu.Lock()
	var now []Change
	for _, p := range m.managed {
		if p.current != nil {
			now = append(now, Change{
				Type: p.identity.kind, Name: p.identity.name, Object: p.object,
				Instance: p.current, Release: func() {},
			})
		}
	}
	m.mu.Unlock()
	slices.SortFunc(now, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name))
	})
	for _, c := range now {
		f(c)
	}
	return func() {
		m.telling.Lock()
		defer m.telling.Unlock()
		delete(m.listeners, id)
	}
}

// tellInstance passes on what a supervisor tells.
func (m *Manager) tellInstance(p *managed, c host.Change) {
	m.telling.Lock()
	defer m.telling.Unlock()
	m.mu.Lock()
	p.current = c.Instance
	change := Change{
		Type: p.identity.kind, Name: p.identity.name, Object: p.object,
		Instance: c.Instance, Old: c.Old, Err: c.Err,
	}
	if c.Instance != nil {
		change.Name = c.Instance.Spec().Name
	}
	m.mu.Unlock()
	m.tell(change, c.Release)
}

// tellObject takes an object that changed in what concerns listeners alone, and
// passes it on.
func (m *Manager) tellObject(p *managed, object *pintlev1.Plugin) {
	m.telling.Lock()
	defer m.telling.Unlock()
	m.mu.Lock()
	same := p.object == object || p.object.Generation == object.Generation && object.Generation != 0
	p.object = object
	change := Change{Type: p.identity.kind, Name: p.identity.name, Object: object, Instance: p.current}
	m.mu.Unlock()
	if !same && change.Instance != nil {
		m.tell(change, func() {})
	}
}

// tell calls the listeners. release is called once all of them released.
func (m *Manager) tell(c Change, release func()) {
	var waiting atomic.Int64
	waiting.Store(int64(len(m.listeners)) + 1)
	done := func() {
		if waiting.Add(-1) == 0 {
			release()
		}
	}
	ids := make([]int, 0, len(m.listeners))
	for id := range m.listeners {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		own := c
		own.Release = sync.OnceFunc(done)
		m.listeners[id](own)
	}
	done()
}

// Supervisor returns the supervisor of the plugin with that type and name.
func (m *Manager) Supervisor(kind pluginv1.PluginType, name string) (*host.Supervisor, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.owners[identity{kind, name}]
	if p == nil || p.supervisor == nil {
		return nil, false
	}
	return p.supervisor, true
}

// Plugins returns the plugins of a type that are not in shadow, the oldest
// object first.
func (m *Manager) Plugins(kind pluginv1.PluginType) []Plugin {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []Plugin
	for id, p := range m.owners {
		if id.kind == kind && p.supervisor != nil && p.object.Spec.Mode != pintlev1.PluginShadow {
			found = append(found, Plugin{Type: kind, Name: id.name, Object: p.object, Supervisor: p.supervisor})
		}
	}
	slices.SortFunc(found, func(a, b Plugin) int {
		if older(a.Object, b.Object) {
			return -1
		}
		return 1
	})
	return found
}

// Default returns the plugin to use where none is named: the oldest of its
// type that is not in shadow.
func (m *Manager) Default(kind pluginv1.PluginType) (Plugin, bool) {
	all := m.Plugins(kind)
	if len(all) == 0 {
		return Plugin{}, false
	}
	return all[0], true
}
