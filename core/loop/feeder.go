package loop

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// feed takes in what happens, without ever waiting for the plugin.
func (s *session) feed(ctx context.Context, feed Feed) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case batch, ok := <-feed.Batches():
			if !ok {
				if err := feed.Err(); err != nil {
					return fmt.Errorf("watch what the loop asks for: %w", err)
				}
				return errors.New("watch what the loop asks for: the watch ended")
			}
			s.observe(batch)
		}
	}
}

// observe works out what a batch means for each watch and for the queue.
func (s *session) observe(batch Batch) {
	var changes []change
	for _, e := range batch.Events {
		m, err := metaOf(e.Object)
		if err != nil {
			s.log.Error("object without metadata passed over", "kind", s.spec.kinds[e.Kind].GVK.Kind, "name", e.Name, "error", err)
			continue
		}
		for _, w := range s.spec.byKind[e.Kind] {
			watch := s.spec.watches[w]
			k := changeKey{w, e.Namespace, e.Name}
			selected := !e.Deleted && watch.selects(e.Object, m)
			state := present{}
			switch watch.trigger {
			case pluginv1.Trigger_TRIGGER_SELF:
				state.uid = m.GetUID()
			case pluginv1.Trigger_TRIGGER_OWNER:
				state.owner, state.owned = s.spec.owner(m)
			}
			old, was := s.presence.swap(k, state, selected)
			if !selected && !was {
				continue
			}
			changes = append(changes, change{changeKey: k, event: e, deleted: !selected})
			s.trigger(watch, e, state, old)
		}
	}
	s.pending.put(changes, batch.Revision, batch.Synced)
	s.wake()
}

// trigger makes the keys due that a change is about. They are held back until
// the change was sent.
func (s *session) trigger(w *watchSpec, e Event, now, before present) {
	switch w.trigger {
	case pluginv1.Trigger_TRIGGER_SELF:
		s.runner.queue.add(Key{Kind: w.kind.GVK.GroupKind(), Namespace: e.Namespace, Name: e.Name}, e.Revision)
	case pluginv1.Trigger_TRIGGER_OWNER:
		if now.owned {
			s.runner.queue.add(now.owner, e.Revision)
		}
		if before.owned && before != now {
			s.runner.queue.add(before.owner, e.Revision)
		}
	}
}

// presence knows which objects each watch selects, and their owners.
type presence struct {
	mu      sync.Mutex
	objects map[changeKey]present
	spec    *spec
}

// present is what is known of an object: its uid where it triggers itself, its
// controlling owner where it triggers that.
type present struct {
	uid   types.UID
	owner Key
	owned bool
}

func newPresence(s *spec) presence { return presence{objects: map[changeKey]present{}, spec: s} }

func (p *presence) swap(k changeKey, state present, selected bool) (old present, was bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old, was = p.objects[k]
	if selected {
		p.objects[k] = state
	} else {
		delete(p.objects, k)
	}
	return old, was
}

// keys returns the keys of objects that trigger themselves.
func (s *session) keys() map[Key]struct{} {
	s.presence.mu.Lock()
	defer s.presence.mu.Unlock()
	keys := map[Key]struct{}{}
	for k := range s.presence.objects {
		if w := s.spec.watches[k.watch]; w.trigger == pluginv1.Trigger_TRIGGER_SELF {
			keys[Key{Kind: w.kind.GVK.GroupKind(), Namespace: k.namespace, Name: k.name}] = struct{}{}
		}
	}
	return keys
}

// lookup finds the key's object among those that trigger themselves.
func (s *session) lookup(key Key) (state present, ok bool) {
	s.presence.mu.Lock()
	defer s.presence.mu.Unlock()
	for i, w := range s.spec.watches {
		if w.trigger != pluginv1.Trigger_TRIGGER_SELF || w.kind.GVK.GroupKind() != key.Kind {
			continue
		}
		if state, ok := s.presence.objects[changeKey{i, key.Namespace, key.Name}]; ok {
			return state, true
		}
	}
	return present{}, false
}

// about names the key's object in events.
func (s *session) about(key Key) corev1.ObjectReference {
	ref := corev1.ObjectReference{Kind: key.Kind.Kind, Namespace: key.Namespace, Name: key.Name}
	for _, kind := range s.spec.keyKinds {
		if kind.GVK.GroupKind() == key.Kind {
			ref.APIVersion = kind.GVK.GroupVersion().String()
		}
	}
	if state, ok := s.lookup(key); ok {
		ref.UID = state.uid
	}
	return ref
}
