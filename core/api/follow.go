package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/pintle-io/pintle/core/registry"
	"github.com/pintle-io/pintle/core/store"
)

const (
	initialEventsEnd = metav1.InitialEventsAnnotationKey
	// initialBatch is how many initial events are delivered at a time.
	initialBatch = 500
)

// watchedTarget is one target of a watch.
type watchedTarget struct {
	request    *request
	selection  selection
	scope      scope
	kindPrefix string
	// impossible is set where the selector contradicts the target.
	impossible bool
}

// follower turns the store's events into a watcher's. It runs one goroutine
// per watch and holds at most one batch: a reader that does not read makes the
// store end the watch.
type follower struct {
	service      *Service
	targets      []watchedTarget
	after        uint64
	bookmarks    bool
	initial      []Document
	endOfInitial bool

	source store.Watcher
	watch  *Watch
}

// start begins to follow the store before it returns, so that errors of the
// revision are answers to the request.
func (f *follower) start(ctx context.Context, timeout time.Duration) (*Watch, error) {
	ctx, cancel := context.WithCancel(ctx)
	source, err := f.service.store.Watch(ctx, store.WatchRequest{Prefix: f.prefix(), After: f.after, Bookmarks: f.bookmarks})
	if err != nil {
		cancel()
		return nil, watchError(err)
	}
	f.source = source
	f.watch = &Watch{events: make(chan []Event, 1), cancel: cancel}
	go f.run(ctx, cancel, timeout)
	return f.watch, nil
}

// prefix covers the keys of all targets.
func (f *follower) prefix() string {
	prefix := f.targets[0].scope.prefix
	for i := range f.targets[1:] {
		other := f.targets[i+1].scope.prefix
		for !strings.HasPrefix(other, prefix) {
			prefix = prefix[:len(prefix)-1]
		}
	}
	return prefix
}

func (f *follower) run(ctx context.Context, cancel context.CancelFunc, timeout time.Duration) {
	defer cancel()
	defer close(f.watch.events)
	defer f.source.Stop()
	var expired <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		expired = timer.C
	}
	if !f.sendInitial(ctx, expired) {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-expired:
			return
		case batch, ok := <-f.source.Events():
			if !ok {
				if err := f.source.Err(); err != nil {
					f.fail(ctx, expired, watchError(err))
				}
				return
			}
			events, err := f.translate(batch)
			if len(events) > 0 && !f.send(ctx, expired, events) {
				return
			}
			if err != nil {
				f.fail(ctx, expired, err)
				return
			}
		}
	}
}

// send delivers a batch and says whether to go on.
func (f *follower) send(ctx context.Context, expired <-chan time.Time, events []Event) bool {
	select {
	case f.watch.events <- events:
		return true
	case <-ctx.Done():
	case <-expired:
	}
	return false
}

// fail delivers the error that ends a watch.
func (f *follower) fail(ctx context.Context, expired <-chan time.Time, err error) {
	f.watch.err = err
	status := &metav1.Status{}
	var api apierrors.APIStatus
	if errors.As(err, &api) {
		*status = api.Status()
	}
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	f.send(ctx, expired, []Event{{Type: watch.Error, Document: virtualDocument(nil, status)}})
}

func (f *follower) sendInitial(ctx context.Context, expired <-chan time.Time) bool {
	for len(f.initial) > 0 {
		n := min(initialBatch, len(f.initial))
		events := make([]Event, n)
		for i := range events {
			d := &f.initial[i]
			events[i] = Event{Type: watch.Added, Revision: d.revision, Document: d}
		}
		if !f.send(ctx, expired, events) {
			return false
		}
		f.initial = f.initial[n:]
	}
	f.initial = nil
	if !f.endOfInitial {
		return true
	}
	mark := bookmarkDocument(f.targets[0].request.kind, f.after, true)
	return f.send(ctx, expired, []Event{{Type: watch.Bookmark, Revision: f.after, Document: mark, InitialEventsEnd: true}})
}

// translate turns a batch of the store into what the watcher is to see.
func (f *follower) translate(batch []*store.Event) ([]Event, error) {
	var events []Event
	for _, raw := range batch {
		if raw.Type == store.EventBookmark {
			mark := bookmarkDocument(f.targets[0].request.kind, raw.Revision, false)
			events = append(events, Event{Type: watch.Bookmark, Revision: raw.Revision, Document: mark})
			continue
		}
		for i := range f.targets {
			t := &f.targets[i]
			if t.impossible || !t.scope.contains(raw.Key) {
				continue
			}
			event, ok, err := t.see(raw, f.service.cache)
			if err != nil {
				return events, err
			}
			if ok {
				event.Target = i
				if events == nil {
					events = make([]Event, 0, len(batch))
				}
				events = append(events, event)
			}
		}
	}
	return events, nil
}

// see is the event as one who selects sees it.
func (t *watchedTarget) see(raw *store.Event, cache *objectCache) (event Event, ok bool, err error) {
	event = Event{Revision: raw.Revision, Raw: raw}
	after, before, err := states(t.request.kind, raw, cache)
	if err != nil {
		return event, false, err
	}
	now, was := after != nil, before != nil
	if !t.selection.everything() {
		if now {
			if now, err = t.selection.matches(after); err != nil {
				return event, false, err
			}
		}
		if was {
			if was, err = t.selection.matches(before); err != nil {
				return event, false, err
			}
		}
	}
	switch {
	case now && was:
		event.Type, event.Document = watch.Modified, after
	case now:
		event.Type, event.Document = watch.Added, after
	case was:
		event.Type, event.Document = watch.Deleted, before
	default:
		return event, false, nil
	}
	return event, true, nil
}

// statesKey is the key of an event's documents in its Derived values.
type statesKey struct{}

type eventStates struct{ after, before *Document }

// states are the documents of an event, made once for all watchers. Both carry
// the event's revision.
func states(k *registry.Kind, raw *store.Event, cache *objectCache) (after, before *Document, err error) {
	v, err := raw.Derived.Do(statesKey{}, func() (any, error) {
		var st eventStates
		if len(raw.Value) > 0 {
			st.after = &Document{kind: k, stored: raw.Value, revision: raw.Revision, key: raw.Key, cache: cache}
		}
		if len(raw.Previous) > 0 {
			st.before = &Document{kind: k, stored: raw.Previous, revision: raw.Revision, key: raw.Key}
		}
		return &st, nil
	})
	if err != nil {
		return nil, nil, err
	}
	st := v.(*eventStates)
	return st.after, st.before, nil
}

// watchError turns the store's reason to end a watch into the API's: a watcher
// that is answered with 410 lists anew.
func watchError(err error) error {
	var compacted *store.CompactedError
	switch {
	case errors.As(err, &compacted):
		return apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d (%d)", compacted.Requested, compacted.Oldest))
	case errors.Is(err, store.ErrSlow):
		return apierrors.NewResourceExpired("the watcher read too slowly and fell behind the window of recent events: list and watch again")
	}
	return storeError(err)
}
