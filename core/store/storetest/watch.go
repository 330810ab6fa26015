package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/pintle-io/pintle/core/store"
)

// isRefusal is true for the answer to a write whose preconditions do not hold.
func isRefusal(err error) bool {
	var conflict *store.ConflictError
	var reserved *store.ReservedError
	return errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrNotFound) ||
		errors.As(err, &conflict) || errors.As(err, &reserved)
}

func wantEvent(t *testing.T, e *store.Event, kind store.EventType, key string, revision uint64, value, previous string) {
	t.Helper()
	if e.Type != kind || e.Key != key || e.Revision != revision || string(e.Value) != value || string(e.Previous) != previous {
		t.Errorf("event is %d %s at %d %q from %q, want %d %s at %d %q from %q",
			e.Type, e.Key, e.Revision, e.Value, e.Previous, kind, key, revision, value, previous)
	}
}

func testWatch(t *testing.T, s *Instance) {
	w := mustWatch(t, s, store.WatchRequest{Prefix: "/a/"})
	one := create(t, s, "/a/1", "one")
	create(t, s, "/b/1", "other")
	two := update(t, s, "/a/1", "two")
	gone := remove(t, s, "/a/1")
	again := create(t, s, "/a/1", "again")

	check := func(w store.Watcher) {
		t.Helper()
		events := collect(t, w, again.Revision)
		if len(events) != 4 {
			t.Fatalf("%d events, want 4", len(events))
		}
		wantEvent(t, events[0], store.EventCreated, "/a/1", one.Revision, "one", "")
		wantEvent(t, events[1], store.EventUpdated, "/a/1", two.Revision, "two", "one")
		wantEvent(t, events[2], store.EventDeleted, "/a/1", gone.Revision, "", "two")
		wantEvent(t, events[3], store.EventCreated, "/a/1", again.Revision, "again", "")
	}
	check(w)
	check(mustWatch(t, s, store.WatchRequest{Prefix: "/a/"}))

	// A list and a watch from its revision leave no gap.
	list := mustList(t, s, store.ListRequest{Prefix: "/a/"})
	next := mustWatch(t, s, store.WatchRequest{Prefix: "/a/", After: list.Revision})
	three := update(t, s, "/a/1", "three")
	events := collect(t, next, three.Revision)
	if len(events) != 1 {
		t.Fatalf("%d events after the list, want 1", len(events))
	}
	wantEvent(t, events[0], store.EventUpdated, "/a/1", three.Revision, "three", "again")
}

// testWatchFromEveryRevision resumes everywhere in a history that is longer
// than the window of recent events.
func testWatchFromEveryRevision(t *testing.T, s *Instance) {
	// Writers that conflict with each other make fewer events than they try.
	for len(eventsAfter(t, s, 0)) <= WindowEvents {
		churn(t, s, 16, 3*WindowEvents/16)
	}
	all := eventsAfter(t, s, 0)
	for from := 0; from < len(all); from += 1 + from%5 {
		w := mustWatch(t, s, store.WatchRequest{After: all[from].Revision, Bookmarks: true})
		got := collect(t, w, all[len(all)-1].Revision)
		w.Stop()
		want := all[from+1:]
		if len(got) != len(want) {
			t.Fatalf("after revision %d there are %d events, want %d", all[from].Revision, len(got), len(want))
		}
		for i, e := range got {
			wantEvent(t, e, want[i].Type, want[i].Key, want[i].Revision, string(want[i].Value), string(want[i].Previous))
		}
	}
}

// testWatchWhileWriting starts watches all the time while many write, and each
// must see every change after where it began, once and in order.
func testWatchWhileWriting(t *testing.T, s *Instance) {
	stop := make(chan struct{})
	var writers, watchers sync.WaitGroup
	writers.Go(func() {
		defer close(stop)
		churn(t, s, 8, 120)
	})
	var mu sync.Mutex
	seen := make(map[int][]uint64) // by watcher
	from := make(map[int]uint64)
	for id := 0; ; id++ {
		select {
		case <-stop:
		default:
			now := revision(t, s)
			after := now - min(now, uint64(rand.IntN(40)))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w, err := s.Watch(ctx, store.WatchRequest{After: after, Bookmarks: true})
			if err != nil {
				t.Fatalf("Watch after %d of %d: %v", after, now, err)
			}
			from[id] = after
			watchers.Go(func() {
				for batch := range w.Events() {
					for _, e := range batch {
						if e.Type == store.EventBookmark {
							continue
						}
						if e.Key == "/end" {
							return
						}
						mu.Lock()
						seen[id] = append(seen[id], e.Revision)
						mu.Unlock()
					}
				}
				t.Errorf("watch %d ended: %v", id, w.Err())
			})
			if id < 200 {
				continue
			}
		}
		break
	}
	writers.Wait()
	create(t, s, "/end", "")
	watchers.Wait()

	var all []uint64
	for _, e := range eventsAfter(t, s, 0) {
		if e.Key != "/end" {
			all = append(all, e.Revision)
		}
	}
	for id, after := range from {
		want := all
		for len(want) > 0 && want[0] <= after {
			want = want[1:]
		}
		if fmt.Sprint(seen[id]) != fmt.Sprint(want) {
			t.Errorf("watch %d after revision %d saw %d events, want %d:\n%v\n%v", id, after, len(seen[id]), len(want), seen[id], want)
		}
	}
}

func testWatchBookmarks(t *testing.T, s *Instance) {
	wantBookmark := func(req store.WatchRequest, atLeast uint64) {
		t.Helper()
		w := mustWatch(t, s, req)
		defer w.Stop()
		for {
			select {
			case batch, ok := <-w.Events():
				if !ok {
					t.Fatalf("watch ended: %v", w.Err())
				}
				for _, e := range batch {
					if e.Type != store.EventBookmark {
						continue
					}
					if e.Revision < atLeast || e.Key != "" || e.Value != nil || e.Previous != nil {
						t.Errorf("bookmark is %+v, want one of revision %d", e, atLeast)
					}
					return
				}
			case <-time.After(patience):
				t.Fatal("no bookmark came")
			}
		}
	}
	wantBookmark(store.WatchRequest{Bookmarks: true}, 0)
	for i := range 5 {
		create(t, s, fmt.Sprintf("/a/%d", i), "")
	}
	last := create(t, s, "/b", "").Revision
	wantBookmark(store.WatchRequest{Prefix: "/a/", Bookmarks: true}, last)
	wantBookmark(store.WatchRequest{Prefix: "/none/", Bookmarks: true}, last)
	wantBookmark(store.WatchRequest{Prefix: "/a/", After: last, Bookmarks: true}, last)

	// One that did not ask gets none.
	w := mustWatch(t, s, store.WatchRequest{Prefix: "/a/", After: last})
	rev := create(t, s, "/a/x", "").Revision
	for _, e := range <-w.Events() {
		wantEvent(t, e, store.EventCreated, "/a/x", rev, "", "")
	}
}

// testWatchSharesEvents checks that watchers of a running store are handed the
// same event, so that what they derive from it is computed once.
func testWatchSharesEvents(t *testing.T, s *Instance) {
	watchers := make([]store.Watcher, 5)
	for i := range watchers {
		prefix := "/a/"[:1+i%3]
		watchers[i] = mustWatch(t, s, store.WatchRequest{Prefix: prefix})
	}
	rev := create(t, s, "/a/1", "x").Revision
	computed := 0
	for _, w := range watchers {
		e := collect(t, w, rev)[0]
		v, err := e.Derived.Do("key", func() (any, error) { computed++; return computed, nil })
		if v != 1 || err != nil {
			t.Errorf("derived is %v, %v", v, err)
		}
	}
}

// testWatchSlow has a reader that does not read: its watch ends with ErrSlow,
// writers and other watchers do not wait for it, and it can go on from its last
// revision.
func testWatchSlow(t *testing.T, s *Instance) {
	slow := mustWatch(t, s, store.WatchRequest{Prefix: "/"})
	other := mustWatch(t, s, store.WatchRequest{Prefix: "/never"})
	// The watch must have begun to read recent events: one that still reads old
	// ones is not behind.
	first := create(t, s, "/first", "")
	last := collect(t, slow, first.Revision)[0].Revision

	var newest uint64
	for i := range 3 * WindowEvents {
		newest = create(t, s, fmt.Sprintf("/%d", i), "x").Revision
	}
	deadline := time.After(patience)
	for ended := false; !ended; {
		select {
		case batch, ok := <-slow.Events():
			if ended = !ok; !ok {
				break
			}
			for _, e := range batch {
				if e.Revision <= last {
					t.Fatalf("revision %d after %d", e.Revision, last)
				}
				last = e.Revision
			}
			if last == newest {
				t.Fatalf("a watch of %d events that were not read is not ended", 3*WindowEvents)
			}
		case <-deadline:
			t.Fatal("slow watch did not end")
		}
	}
	wantError(t, slow.Err(), store.ErrSlow)

	rest := mustWatch(t, s, store.WatchRequest{Prefix: "/", After: last})
	for _, e := range collect(t, rest, newest) {
		if e.Revision <= last {
			t.Fatalf("revision %d after %d", e.Revision, last)
		}
		last = e.Revision
	}
	rev := create(t, s, "/never", "").Revision
	if events := collect(t, other, rev); len(events) != 1 {
		t.Errorf("the other watch has %d events, want 1", len(events))
	}
}

func testWatchEnds(t *testing.T, s *Instance) {
	wantEnd := func(w store.Watcher, want error) {
		t.Helper()
		timeout := time.After(patience)
		for {
			select {
			case _, ok := <-w.Events():
				if ok {
					continue
				}
				if err := w.Err(); !errors.Is(err, want) {
					t.Errorf("watch ended with %v, want %v", err, want)
				}
				w.Stop()
				return
			case <-timeout:
				t.Fatal("watch did not end")
			}
		}
	}
	create(t, s, "/a", "")
	ctx, cancel := context.WithCancel(t.Context())
	w, err := s.Watch(ctx, store.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	wantEnd(w, nil)

	stopped := mustWatch(t, s, store.WatchRequest{Bookmarks: true})
	stopped.Stop()
	stopped.Stop()
	wantEnd(stopped, nil)

	closed := mustWatch(t, s, store.WatchRequest{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantEnd(closed, store.ErrClosed)
}

func testWatchRevisionErrors(t *testing.T, s *Instance) {
	for i := range 10 {
		create(t, s, fmt.Sprintf("/%d", i), "")
	}
	newest := revision(t, s)
	_, err := s.Watch(t.Context(), store.WatchRequest{After: newest + 1})
	future := errorAs[*store.FutureError](t, err)
	if future.Requested != newest+1 || future.Newest != newest {
		t.Errorf("error is %v", future)
	}
	if err := s.Compact(testContext(t), newest-2); err != nil {
		t.Fatal(err)
	}
	_, err = s.Watch(t.Context(), store.WatchRequest{After: newest - 3})
	compacted := errorAs[*store.CompactedError](t, err)
	if compacted.Requested != newest-3 || compacted.Oldest != newest-2 {
		t.Errorf("error is %v", compacted)
	}
	w := mustWatch(t, s, store.WatchRequest{After: newest - 2})
	if events := collect(t, w, newest); len(events) != 2 {
		t.Errorf("%d events after the oldest revision, want 2", len(events))
	}
}
