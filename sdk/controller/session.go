package controller

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/controller/stream"
	"github.com/pintle-io/pintle/sdk/errs"
)

// enqueueBatch is the largest number of keys in one message.
const enqueueBatch = 1000

// session is a controller on one stream. The view changes under the write
// lock; reconciling holds the read lock, so that each sees one revision.
type session struct {
	plan       *plan
	reconciler Reconciler
	now        func() time.Time
	out        stream.Sender
	encoding   pluginv1.Encoding

	mu     sync.RWMutex
	cache  *cache
	synced bool

	// inFlight bounds the goroutines to what the controller asked for; the core
	// keeps to it, so that Work waits only where it does not.
	inFlight chan struct{}
	working  sync.WaitGroup
}

func newSession(p *plan, r Reconciler, now func() time.Time, out stream.Sender) *session {
	return &session{
		plan:       p,
		reconciler: r,
		now:        now,
		out:        out,
		cache:      newCache(p),
		inFlight:   make(chan struct{}, max(p.spec.MaxInFlight, 1)),
	}
}

func (s *session) Start(start *pluginv1.Start) error {
	s.encoding = start.GetEncoding()
	return nil
}

func (s *session) Changes(changes *pluginv1.Changes) error {
	decoded, err := s.decode(changes.GetChanges())
	if err != nil {
		return err
	}
	due := s.apply(decoded, changes)
	for len(due) > 0 {
		n := min(len(due), enqueueBatch)
		if err := s.out.Send(&pluginv1.Decision{Enqueue: due[:n]}); err != nil {
			return fmt.Errorf("enqueue keys: %w", err)
		}
		due = due[n:]
	}
	return nil
}

// decoded is one change with its object.
type decoded struct {
	watch  int
	name   name
	object runtime.Object // nil where it is gone
}

// decode reads the objects before the view is locked.
func (s *session) decode(changes []*pluginv1.Change) ([]decoded, error) {
	out := make([]decoded, 0, len(changes))
	for _, c := range changes {
		if int(c.GetWatch()) >= len(s.plan.spec.Watches) {
			return nil, errs.InvalidArgument("change of watch %d, but there are %d", c.GetWatch(), len(s.plan.spec.Watches))
		}
		d := decoded{watch: int(c.GetWatch()), name: name{c.GetNamespace(), c.GetName()}}
		switch c.GetType() {
		case pluginv1.Change_TYPE_SET:
			d.object = s.plan.newObject(d.watch)
			if err := stream.Decode(c.GetObject(), d.object); err != nil {
				return nil, fmt.Errorf("%s %s/%s at revision %d: %w", s.plan.kinds[d.watch].Kind, c.GetNamespace(), c.GetName(), c.GetRevision(), err)
			}
			d.object.GetObjectKind().SetGroupVersionKind(s.plan.kinds[d.watch])
			if reduce := s.plan.spec.Watches[d.watch].Reduce; reduce != nil {
				reduce(d.object)
			}
		case pluginv1.Change_TYPE_DELETED:
		default:
			return nil, errs.Unimplemented("change of type %s, which this plugin does not know", c.GetType())
		}
		out = append(out, d)
	}
	return out, nil
}

// apply changes the view and returns the keys that mapped watches make due.
func (s *session) apply(changes []decoded, msg *pluginv1.Changes) []*pluginv1.Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := newKeySet(s.plan)
	seen := s.now()
	for _, d := range changes {
		change := Change{Watch: d.watch, New: d.object}
		if d.object == nil {
			change.Old = s.cache.remove(d.watch, d.name)
		} else {
			m, err := meta.Accessor(d.object)
			if err != nil {
				slog.Error("object without metadata passed over", "kind", s.plan.kinds[d.watch].Kind, "error", err)
				continue
			}
			change.Old = s.cache.set(d.watch, d.object, m, seen)
		}
		// The first snapshot is mapped as a whole once it is there.
		if s.synced && (change.Old != nil || change.New != nil) {
			s.mapChange(change, due)
		}
	}
	s.cache.revision = msg.GetRevision()
	if msg.GetSynced() && !s.synced {
		s.synced = true
		s.mapAll(due)
	}
	return due.keys
}

func (s *session) mapAll(due *keySet) {
	for i, w := range s.plan.spec.Watches {
		if w.Trigger != Mapped {
			continue
		}
		for _, e := range s.cache.kinds[s.plan.kinds[i]].objects {
			if e.watches&(1<<i) != 0 {
				s.mapChange(Change{Watch: i, New: e.object}, due)
			}
		}
	}
}

func (s *session) mapChange(c Change, due *keySet) {
	if s.plan.spec.Watches[c.Watch].Trigger != Mapped {
		return
	}
	defer func() {
		if r := recover(); r != nil {
			slog.Error("Map panicked", "kind", s.plan.kinds[c.Watch].Kind, "panic", r, "stack", string(debug.Stack()))
		}
	}()
	for _, key := range s.plan.mapper.Map(context.Background(), c, s.view()) {
		due.add(key)
	}
}

func (s *session) view() View { return View{cache: s.cache, now: s.now()} }

func (s *session) Work(ctx context.Context, items []*pluginv1.WorkItem) error {
	for _, item := range items {
		select {
		case s.inFlight <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		s.working.Go(func() {
			defer func() { <-s.inFlight }()
			if err := s.out.Send(s.decide(ctx, item)); err != nil && ctx.Err() == nil {
				slog.Error("decision could not be sent", "key", item.GetKey().String(), "error", err)
			}
		})
	}
	return nil
}

// decide answers one work item.
func (s *session) decide(ctx context.Context, item *pluginv1.WorkItem) *pluginv1.Decision {
	out, revision, err := s.reconcile(ctx, item)
	if out == nil {
		out = &pluginv1.Decision{}
	}
	if err != nil {
		out.Error = &pluginv1.DecisionError{Message: err.Error(), Terminal: isTerminal(err)}
	}
	out.WorkId, out.Key, out.ObservedRevision = item.GetId(), item.GetKey(), revision
	return out
}

func (s *session) reconcile(ctx context.Context, item *pluginv1.WorkItem) (out *pluginv1.Decision, revision uint64, err error) {
	key, err := s.plan.keyFromWire(item.GetKey())
	if err != nil {
		return nil, 0, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	defer func() {
		if r := recover(); r != nil {
			slog.Error("Reconcile panicked", "key", key.String(), "panic", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("the controller panicked: %v", r)
		}
	}()
	view := s.view()
	view.attempt = int(item.GetAttempt())
	for _, f := range item.GetFailures() {
		view.failures = append(view.failures, Failure{Code: int(f.GetCode()), Reason: f.GetReason(), Message: f.GetMessage(), Name: f.GetName()})
	}
	d, failed := s.reconciler.Reconcile(ctx, key, view)
	out, err = s.plan.encode(&d, s.encoding)
	if failed != nil {
		err = failed
	}
	return out, view.Revision(), err
}

// Outcomes need nothing done: what was applied is in the view, what was refused
// comes with the key's next work.
func (s *session) Outcomes([]*pluginv1.Outcome) error { return nil }

func (s *session) Drain(context.Context) error {
	s.working.Wait()
	return nil
}

// keySet collects keys without repetition.
type keySet struct {
	plan *plan
	seen map[Key]bool
	keys []*pluginv1.Key
}

func newKeySet(p *plan) *keySet { return &keySet{plan: p, seen: map[Key]bool{}} }

func (k *keySet) add(key Key) {
	if k.seen[key] {
		return
	}
	k.seen[key] = true
	wire, err := k.plan.keyToWire(key)
	if err != nil {
		slog.Error("Map returned a wrong key", "error", err)
		return
	}
	k.keys = append(k.keys, wire)
}
