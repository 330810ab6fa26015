package api

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/pintle-io/pintle/core/registry"
	"github.com/pintle-io/pintle/core/store"
)

// Event is one change as a watcher sees it.
type Event struct {
	// Type as the watcher sees it: an object that begins to match the
	// watcher's selectors is ADDED, one that no longer does is DELETED.
	Type watch.EventType
	// Revision of the change. A bookmark says that everything up to its
	// revision was delivered.
	Revision uint64
	// Document is the object after the change; of a deleted one its last state
	// with the revision of the deletion. Of a bookmark it is an object of the
	// kind that carries the revision, of an ERROR event the status. It is shared
	// by all watchers and must not be changed.
	Document *Document
	// Target is the index of the watched target that the object belongs to.
	Target int
	// InitialEventsEnd marks the bookmark that ends the initial events.
	InitialEventsEnd bool
	// Raw is the store's event, shared by all watchers; nil for initial events,
	// bookmarks and errors. Raw.Derived keeps what is costly to make of it.
	Raw *store.Event
}

// Object is the event's object, decoded once for all watchers. It is shared
// and must not be changed.
func (e *Event) Object() (runtime.Object, error) { return e.Document.Object() }

// WatchTarget is a collection, or one object, with the selectors that narrow a
// watch of it.
type WatchTarget struct {
	Target
	LabelSelector, FieldSelector string
}

// MultiWatchOptions are those of WatchTargets.
type MultiWatchOptions struct {
	// After is the revision after which changes are wanted: that of the lists
	// which came before.
	After uint64
	// Bookmarks asks for bookmarks: one at once when the watcher has caught up
	// with the store, and now and then while nothing happens.
	Bookmarks bool
}

// Watch is a running watch.
type Watch struct {
	events chan []Event
	cancel context.CancelFunc
	once   sync.Once
	err    error // written before events is closed
}

// Events delivers batches in revision order, never empty ones. It is closed
// when the watch ended: after an ERROR event, at the timeout, or by Stop.
func (w *Watch) Events() <-chan []Event { return w.events }

// Err says why a watch ended once Events is closed; nil where it was stopped
// or timed out. It is the error that the last event showed.
func (w *Watch) Err() error { return w.err }

// Stop ends the watch. It may be called twice.
func (w *Watch) Stop() { w.once.Do(w.cancel) }

// Watch follows a collection, or one object. See WatchOptions for where it
// begins.
func (s *Service) Watch(ctx context.Context, t Target, opts WatchOptions) (*Watch, error) {
	target, err := s.watchTarget(ctx, WatchTarget{Target: t, LabelSelector: opts.LabelSelector, FieldSelector: opts.FieldSelector})
	if err != nil {
		return nil, err
	}
	if err := checkListOptions(&opts, true); err != nil {
		return nil, err
	}
	after, err := parseRevision(opts.ResourceVersion)
	if err != nil {
		return nil, err
	}
	f := &follower{service: s, targets: []watchedTarget{target}, bookmarks: opts.AllowWatchBookmarks}
	initial := after == 0
	if opts.SendInitialEvents != nil {
		initial = *opts.SendInitialEvents
		f.endOfInitial = initial && opts.AllowWatchBookmarks
	}
	if initial {
		if after != 0 {
			if err := s.reached(ctx, after); err != nil {
				return nil, err
			}
		}
		list, err := s.list(ctx, target.request, &target.selection, &ListOptions{})
		if err != nil {
			return nil, err
		}
		f.initial = list.Items
		after = list.Revision
	} else if after == 0 {
		if after, err = s.Revision(ctx); err != nil {
			return nil, err
		}
	}
	f.after = after
	var timeout time.Duration
	if opts.TimeoutSeconds != nil {
		timeout = time.Duration(*opts.TimeoutSeconds) * time.Second
	}
	return f.start(ctx, timeout)
}

// WatchTargets follows several collections as one sequence in revision order.
// List them first with the revision of the first list and
// ResourceVersionMatch Exact, then watch after that revision.
func (s *Service) WatchTargets(ctx context.Context, targets []WatchTarget, opts MultiWatchOptions) (*Watch, error) {
	f := &follower{service: s, after: opts.After, bookmarks: opts.Bookmarks}
	for _, t := range targets {
		target, err := s.watchTarget(ctx, t)
		if err != nil {
			return nil, err
		}
		f.targets = append(f.targets, target)
	}
	if len(targets) == 0 {
		return nil, apierrors.NewBadRequest("a watch needs at least one target")
	}
	return f.start(ctx, 0)
}

func (s *Service) watchTarget(ctx context.Context, t WatchTarget) (watchedTarget, error) {
	r, err := s.resolve(ctx, t.Target)
	if err != nil {
		return watchedTarget{}, err
	}
	if r.Subresource != "" {
		return watchedTarget{}, errMethod(r.kind.GroupResource(), "watch")
	}
	sel, err := s.parseSelection(r.kind, t.LabelSelector, t.FieldSelector)
	if err != nil {
		return watchedTarget{}, err
	}
	if err := s.authorize(ctx, r, "watch", sel.fields); err != nil {
		return watchedTarget{}, err
	}
	sc, possible := scopeOf(r, &sel)
	return watchedTarget{request: r, selection: sel, scope: sc, impossible: !possible, kindPrefix: kindPrefix(r.kind)}, nil
}

// bookmarkDocument makes the object of a bookmark: one of the kind with a
// revision and nothing else.
func bookmarkDocument(k *registry.Kind, rev uint64, endOfInitial bool) *Document {
	obj := k.New()
	obj.GetObjectKind().SetGroupVersionKind(k.GVK)
	setRevision(obj, rev)
	if endOfInitial {
		metaOf(obj).SetAnnotations(map[string]string{initialEventsEnd: "true"})
	}
	d := virtualDocument(k, obj)
	d.revision = rev
	return d
}
