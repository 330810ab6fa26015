package loop

import (
	"slices"
	"sync"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// pending holds changes that were not sent yet. A newer change of an object
// takes the place of the older one, so that a plugin which reads slowly costs
// no more memory than the state has objects.
type pending struct {
	mu       sync.Mutex
	changes  map[changeKey]change
	revision uint64
	synced   bool
}

type changeKey struct {
	watch           int
	namespace, name string
}

type change struct {
	changeKey
	event   Event
	deleted bool // gone, or no longer selected
}

func newPending() *pending { return &pending{changes: map[changeKey]change{}} }

func (p *pending) put(changes []change, revision uint64, synced bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range changes {
		p.changes[c.changeKey] = c
	}
	p.revision = max(p.revision, revision)
	p.synced = p.synced || synced
}

// take returns all changes in revision order and the revision that is reached
// with them.
func (p *pending) take() (changes []change, revision uint64, synced bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.changes) > 0 {
		changes = make([]change, 0, len(p.changes))
		for _, c := range p.changes {
			changes = append(changes, c)
		}
		p.changes = map[changeKey]change{}
		slices.SortFunc(changes, compareChanges)
	}
	return changes, p.revision, p.synced
}

func compareChanges(a, b change) int {
	switch {
	case a.event.Revision < b.event.Revision:
		return -1
	case a.event.Revision > b.event.Revision:
		return 1
	case a.deleted != b.deleted:
		// An object that moves between two watches is never absent from both.
		if a.deleted {
			return 1
		}
		return -1
	}
	return a.watch - b.watch
}

func (c change) wire(object []byte) *pluginv1.Change {
	w := &pluginv1.Change{
		Type:      pluginv1.Change_TYPE_SET,
		Watch:     uint32(c.watch),
		Namespace: c.namespace,
		Name:      c.name,
		Revision:  c.event.Revision,
		Object:    object,
	}
	if c.deleted {
		w.Type = pluginv1.Change_TYPE_DELETED
	}
	return w
}
