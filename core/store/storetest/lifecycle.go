package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
	"testing"

	"github.com/pintle-io/pintle/core/store"
)

func testCompact(t *testing.T, s *Instance) {
	if err := s.Compact(testContext(t), 0); err != nil {
		t.Errorf("compacting an empty store: %v", err)
	}
	live := create(t, s, "/live", "kept")
	create(t, s, "/gone", "")
	for i := range 20 {
		update(t, s, "/gone", fmt.Sprint(i))
	}
	remove(t, s, "/gone")
	newest := revision(t, s)
	errorAs[*store.FutureError](t, s.Compact(testContext(t), newest+1))
	for range 2 { // Again, and then further back, changes nothing.
		if err := s.Compact(testContext(t), newest); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Compact(testContext(t), newest-5); err != nil {
		t.Errorf("compacting to a revision that was compacted: %v", err)
	}
	wantEntry(t, mustGet(t, s, "/live"), "/live", "kept", live.Revision, live.Revision)
	if list := mustList(t, s, store.ListRequest{Revision: newest}); len(list.Entries) != 1 {
		t.Errorf("%d entries at the newest revision, want 1", len(list.Entries))
	}
	_, err := s.List(testContext(t), store.ListRequest{Revision: newest - 1})
	errorAs[*store.CompactedError](t, err)
	if e := create(t, s, "/next", ""); e.Revision <= newest {
		t.Errorf("revision %d after %d", e.Revision, newest)
	}
}

// testCompactWhileInUse compacts again and again under readers, writers and
// watchers: they get the right answer or are told that it is gone.
func testCompactWhileInUse(t *testing.T, s *Instance) {
	stop := make(chan struct{})
	var writers, others sync.WaitGroup
	writers.Go(func() {
		defer close(stop)
		churn(t, s, 8, 100)
	})
	running := func() bool {
		select {
		case <-stop:
			return false
		default:
			return true
		}
	}
	others.Go(func() {
		for running() {
			rev, err := s.Revision(testContext(t))
			if err == nil {
				err = s.Compact(testContext(t), rev)
			}
			if err != nil {
				t.Errorf("Compact: %v", err)
				return
			}
		}
	})
	others.Go(func() {
		for running() {
			list, err := s.List(testContext(t), store.ListRequest{})
			if err != nil {
				t.Errorf("List of the newest revision: %v", err)
				return
			}
			for _, e := range list.Entries {
				if e.Revision > list.Revision {
					t.Errorf("list of %d has %s of %d", list.Revision, e.Key, e.Revision)
				}
			}
		}
	})
	others.Go(func() {
		for running() {
			rev, err := s.Revision(testContext(t))
			if err != nil {
				t.Errorf("Revision: %v", err)
				return
			}
			w, err := s.Watch(t.Context(), store.WatchRequest{After: rev})
			var compacted *store.CompactedError
			if errors.As(err, &compacted) {
				continue // That was quick.
			}
			if err != nil {
				t.Errorf("Watch: %v", err)
				return
			}
			last := uint64(0)
			for range 3 {
				select {
				case batch, ok := <-w.Events():
					for _, e := range batch {
						if e.Revision <= last {
							t.Errorf("revision %d after %d", e.Revision, last)
						}
						last = e.Revision
					}
					// A reader that is overtaken is told so.
					if err := w.Err(); !ok && !errors.Is(err, store.ErrSlow) && !errors.As(err, &compacted) {
						t.Errorf("watch ended: %v", err)
					}
				case <-stop:
				}
			}
			w.Stop()
		}
	})
	writers.Wait()
	others.Wait()
}

func testReopen(t *testing.T, s *Instance) {
	create(t, s, "/dropped", "", "claim/dropped")
	remove(t, s, "/dropped")
	churn(t, s, 8, 60)
	middle := revision(t, s)
	create(t, s, "/kept", "value", "claim/kept")
	churn(t, s, 8, 60)
	if err := s.Compact(testContext(t), middle); err != nil {
		t.Fatal(err)
	}
	list := mustList(t, s, store.ListRequest{})
	old := mustList(t, s, store.ListRequest{Revision: middle + 5})
	events := eventsAfter(t, s, middle)
	owners, err := s.Reservations(testContext(t), "")
	if err != nil {
		t.Fatal(err)
	}

	for range 3 {
		s.Store = s.Reopen(t)
		if rev := revision(t, s); rev != list.Revision {
			t.Fatalf("revision is %d after a restart, was %d", rev, list.Revision)
		}
		wantSameList(t, mustList(t, s, store.ListRequest{}), list)
		wantSameList(t, mustList(t, s, store.ListRequest{Revision: middle + 5}), old)
		wantOwners(t, s, "", owners)
		again := eventsAfter(t, s, middle)
		if len(again) != len(events) {
			t.Fatalf("%d events after a restart, were %d", len(again), len(events))
		}
		for i, e := range again {
			wantEvent(t, e, events[i].Type, events[i].Key, events[i].Revision, string(events[i].Value), string(events[i].Previous))
		}
		_, err := s.List(testContext(t), store.ListRequest{Revision: middle - 1})
		errorAs[*store.CompactedError](t, err)
		Check(t, s)
	}
	if e := create(t, s, "/after", ""); e.Revision <= list.Revision {
		t.Errorf("revision %d after %d", e.Revision, list.Revision)
	}
}

func wantSameList(t *testing.T, got, want store.ListResponse) {
	t.Helper()
	if got.Revision != want.Revision || len(got.Entries) != len(want.Entries) {
		t.Fatalf("list has %d entries at %d, want %d at %d", len(got.Entries), got.Revision, len(want.Entries), want.Revision)
	}
	for i, e := range got.Entries {
		w := want.Entries[i]
		wantEntry(t, e, w.Key, string(w.Value), w.Revision, w.Created)
	}
}

func testSaveAndRestore(t *testing.T, s *Instance) {
	churn(t, s, 8, 60)
	create(t, s, "/large", string(bytes.Repeat([]byte("x"), s.MaxValueSize)), "claim/large")
	list := mustList(t, s, store.ListRequest{})
	owners, err := s.Reservations(testContext(t), "")
	if err != nil {
		t.Fatal(err)
	}

	var saved bytes.Buffer
	rev, err := s.Save(testContext(t), &saved)
	if err != nil {
		t.Fatalf("Save: %v", err)
	}
	if rev != list.Revision {
		t.Errorf("saved at revision %d, want %d", rev, list.Revision)
	}
	restored := &Instance{Store: s.Restore(t, &saved), Verify: s.Verify, MaxValueSize: s.MaxValueSize}
	defer restored.Close()
	wantSameList(t, mustList(t, restored, store.ListRequest{}), list)
	wantOwners(t, restored, "", maps.Clone(owners))
	e := create(t, restored, "/new", "")
	if e.Revision <= rev {
		t.Errorf("revision %d after %d", e.Revision, rev)
	}
	_, err = restored.List(testContext(t), store.ListRequest{Revision: rev - 1})
	errorAs[*store.CompactedError](t, err)
	Check(t, restored)

	if _, err := s.Save(testContext(t), failingWriter{}); err == nil {
		t.Error("saving to a writer that fails succeeded")
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func testClose(t *testing.T, s *Instance) {
	ctx := testContext(t)
	create(t, s, "/a", "")
	// Writes that race with the end are made or refused, and none hangs.
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := make(map[string]bool)
	for i := range 32 {
		wg.Go(func() {
			for n := 0; ; n++ {
				key := fmt.Sprintf("/%d/%d", i, n)
				if _, err := s.Write(ctx, store.WriteRequest{Key: key, Op: store.OpCreate}); err != nil {
					wantError(t, err, store.ErrClosed)
					return
				}
				mu.Lock()
				made[key] = true
				mu.Unlock()
			}
		})
	}
	for {
		mu.Lock()
		n := len(made)
		mu.Unlock()
		if n > 50 {
			break
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	_, err := s.Get(ctx, "/a")
	wantError(t, err, store.ErrClosed)
	_, err = s.List(ctx, store.ListRequest{})
	wantError(t, err, store.ErrClosed)
	_, err = s.Write(ctx, store.WriteRequest{Key: "/b", Op: store.OpCreate})
	wantError(t, err, store.ErrClosed)
	_, err = s.Watch(ctx, store.WatchRequest{})
	wantError(t, err, store.ErrClosed)
	_, err = s.Reservation(ctx, "x")
	wantError(t, err, store.ErrClosed)
	_, err = s.Reservations(ctx, "")
	wantError(t, err, store.ErrClosed)
	_, err = s.Revision(ctx)
	wantError(t, err, store.ErrClosed)
	wantError(t, s.Compact(ctx, 1), store.ErrClosed)
	_, err = s.Save(ctx, io.Discard)
	wantError(t, err, store.ErrClosed)

	s.Store = s.Reopen(t)
	for key := range made {
		if _, err := s.Get(ctx, key); err != nil {
			t.Errorf("%s was acknowledged: %v", key, err)
		}
	}
}
