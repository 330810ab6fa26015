package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/pintle-io/pintle/core/store"
)

// Instance is a store under test, and what can be done to it from outside.
type Instance struct {
	store.Store
	// Reopen closes the store and returns it opened again, as a restart does.
	Reopen func(t *testing.T) store.Store
	// Restore makes another store from what Save wrote.
	Restore func(t *testing.T, r io.Reader) store.Store
	// Verify, which may be nil, checks what only the implementation can see.
	Verify func(t *testing.T, s store.Store)
	// MaxValueSize is the limit of a value in bytes.
	MaxValueSize int
}

// WindowEvents is how many recent events an instance should keep in memory for
// its watchers, so that the suite can overrun them.
const WindowEvents = 256

// patience is how long something that has to happen may take on a busy machine.
const patience = time.Minute

// Run runs the suite. open returns a new, empty store, which keeps its history
// until Compact is called, and which the suite closes.
func Run(t *testing.T, open func(t *testing.T) *Instance) {
	tests := []struct {
		name string
		run  func(t *testing.T, s *Instance)
	}{
		{"Create", testCreate},
		{"Update", testUpdate},
		{"Delete", testDelete},
		{"InvalidWrites", testInvalidWrites},
		{"ValuesAreKept", testValuesAreKept},
		{"LargeValues", testLargeValues},
		{"Revisions", testRevisions},
		{"WriteContext", testWriteContext},

		{"ReservationsTakeAndFree", testReservationsTakeAndFree},
		{"ReservationsConflict", testReservationsConflict},
		{"ReservationsOfFailedWrites", testReservationsOfFailedWrites},
		{"ReservationsRace", testReservationsRace},

		{"List", testList},
		{"ListPages", testListPages},
		{"ListAtEveryRevision", testListAtEveryRevision},
		{"ListRevisionErrors", testListRevisionErrors},

		{"Watch", testWatch},
		{"WatchFromEveryRevision", testWatchFromEveryRevision},
		{"WatchWhileWriting", testWatchWhileWriting},
		{"WatchBookmarks", testWatchBookmarks},
		{"WatchSharesEvents", testWatchSharesEvents},
		{"WatchSlow", testWatchSlow},
		{"WatchEnds", testWatchEnds},
		{"WatchRevisionErrors", testWatchRevisionErrors},

		{"Compact", testCompact},
		{"CompactWhileInUse", testCompactWhileInUse},
		{"Reopen", testReopen},
		{"SaveAndRestore", testSaveAndRestore},
		{"Close", testClose},
		{"Linearizable", testLinearizable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			test.run(t, s)
			if !t.Failed() {
				Check(t, s)
			}
		})
	}
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func mustWrite(t *testing.T, s store.Store, req store.WriteRequest) store.Entry {
	t.Helper()
	e, err := s.Write(testContext(t), req)
	if err != nil {
		t.Fatalf("Write %s: %v", describe(req), err)
	}
	return e
}

func create(t *testing.T, s store.Store, key, value string, take ...string) store.Entry {
	t.Helper()
	return mustWrite(t, s, store.WriteRequest{Key: key, Op: store.OpCreate, Value: []byte(value), Take: take})
}

func update(t *testing.T, s store.Store, key, value string) store.Entry {
	t.Helper()
	return mustWrite(t, s, store.WriteRequest{Key: key, Op: store.OpUpdate, Value: []byte(value)})
}

func remove(t *testing.T, s store.Store, key string) store.Entry {
	t.Helper()
	return mustWrite(t, s, store.WriteRequest{Key: key, Op: store.OpDelete})
}

func describe(req store.WriteRequest) string {
	op := map[store.Op]string{store.OpCreate: "create", store.OpUpdate: "update", store.OpDelete: "delete"}[req.Op]
	return fmt.Sprintf("%s %s if %d take %v free %v", op, req.Key, req.IfRevision, req.Take, req.Free)
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
}

// errorAs fails the test where err is no T.
func errorAs[T error](t *testing.T, err error) T {
	t.Helper()
	var as T
	if !errors.As(err, &as) {
		t.Fatalf("error is %v, want a %T", err, as)
	}
	return as
}

func wantEntry(t *testing.T, got store.Entry, key, value string, revision, created uint64) {
	t.Helper()
	if got.Key != key || string(got.Value) != value || got.Revision != revision || got.Created != created {
		t.Errorf("entry is %s=%.40q at %d created %d, want %s=%.40q at %d created %d",
			got.Key, got.Value, got.Revision, got.Created, key, value, revision, created)
	}
}

func mustGet(t *testing.T, s store.Store, key string) store.Entry {
	t.Helper()
	e, err := s.Get(testContext(t), key)
	if err != nil {
		t.Fatalf("Get %s: %v", key, err)
	}
	return e
}

func mustList(t *testing.T, s store.Store, req store.ListRequest) store.ListResponse {
	t.Helper()
	res, err := s.List(testContext(t), req)
	if err != nil {
		t.Fatalf("List %+v: %v", req, err)
	}
	return res
}

func revision(t *testing.T, s store.Store) uint64 {
	t.Helper()
	rev, err := s.Revision(testContext(t))
	if err != nil {
		t.Fatalf("Revision: %v", err)
	}
	return rev
}

func mustWatch(t *testing.T, s store.Store, req store.WatchRequest) store.Watcher {
	t.Helper()
	w, err := s.Watch(t.Context(), req)
	if err != nil {
		t.Fatalf("Watch %+v: %v", req, err)
	}
	t.Cleanup(w.Stop)
	return w
}
