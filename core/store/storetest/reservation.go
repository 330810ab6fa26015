package storetest

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pintle-io/pintle/core/store"
)

func wantOwners(t *testing.T, s store.Store, prefix string, want map[string]string) {
	t.Helper()
	got, err := s.Reservations(testContext(t), prefix)
	if err != nil {
		t.Fatalf("Reservations: %v", err)
	}
	if !maps.Equal(got, want) {
		t.Errorf("reservations under %q are %v, want %v", prefix, got, want)
	}
}

func testReservationsTakeAndFree(t *testing.T, s *Instance) {
	_, err := s.Reservation(testContext(t), "ip/1")
	wantError(t, err, store.ErrNotFound)

	create(t, s, "/a", "", "ip/1", "port/80")
	create(t, s, "/b", "", "ip/2")
	wantOwners(t, s, "", map[string]string{"ip/1": "/a", "port/80": "/a", "ip/2": "/b"})
	wantOwners(t, s, "ip/", map[string]string{"ip/1": "/a", "ip/2": "/b"})
	wantOwners(t, s, "none", map[string]string{})
	if owner, err := s.Reservation(testContext(t), "ip/2"); owner != "/b" || err != nil {
		t.Errorf("ip/2 is held by %q, %v", owner, err)
	}

	// An update keeps what it does not free; to take what is one's own is no
	// conflict, to free what is not is nothing.
	update(t, s, "/a", "x")
	mustWrite(t, s, store.WriteRequest{Key: "/a", Op: store.OpUpdate, Take: []string{"ip/1", "ip/3"}, Free: []string{"port/80", "ip/2", "nobody's"}})
	wantOwners(t, s, "", map[string]string{"ip/1": "/a", "ip/3": "/a", "ip/2": "/b"})

	// What one write frees another may take.
	mustWrite(t, s, store.WriteRequest{Key: "/b", Op: store.OpUpdate, Take: []string{"port/80"}})
	wantOwners(t, s, "port/", map[string]string{"port/80": "/b"})

	remove(t, s, "/b")
	wantOwners(t, s, "", map[string]string{"ip/1": "/a", "ip/3": "/a"})
	create(t, s, "/c", "", "ip/2", "port/80")
	remove(t, s, "/a")
	wantOwners(t, s, "", map[string]string{"ip/2": "/c", "port/80": "/c"})
}

func testReservationsConflict(t *testing.T, s *Instance) {
	create(t, s, "/a", "", "ip/1")
	_, err := s.Write(testContext(t), store.WriteRequest{Key: "/b", Op: store.OpCreate, Take: []string{"ip/2", "ip/1"}})
	taken := errorAs[*store.ReservedError](t, err)
	if taken.Name != "ip/1" || taken.Owner != "/a" {
		t.Errorf("error says that %s is held by %s", taken.Name, taken.Owner)
	}
	create(t, s, "/b", "")
	_, err = s.Write(testContext(t), store.WriteRequest{Key: "/b", Op: store.OpUpdate, Take: []string{"ip/1"}})
	errorAs[*store.ReservedError](t, err)
	wantOwners(t, s, "", map[string]string{"ip/1": "/a"})
}

func testReservationsOfFailedWrites(t *testing.T, s *Instance) {
	a := create(t, s, "/a", "", "ip/1")
	update(t, s, "/a", "x")
	for _, req := range []store.WriteRequest{
		{Key: "/a", Op: store.OpCreate, Take: []string{"ip/2"}},
		{Key: "/a", Op: store.OpUpdate, IfRevision: a.Revision, Take: []string{"ip/2"}, Free: []string{"ip/1"}},
		{Key: "/a", Op: store.OpDelete, IfRevision: a.Revision},
		{Key: "/none", Op: store.OpUpdate, Take: []string{"ip/2"}},
	} {
		if _, err := s.Write(testContext(t), req); err == nil {
			t.Errorf("%s succeeded", describe(req))
		}
	}
	wantOwners(t, s, "", map[string]string{"ip/1": "/a"})
}

// testReservationsRace lets many writers take the same claims at once.
func testReservationsRace(t *testing.T, s *Instance) {
	const claims, writers = 10, 16
	var won atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for c := range claims {
				key := fmt.Sprintf("/%d/%d", w, c)
				_, err := s.Write(testContext(t), store.WriteRequest{Key: key, Op: store.OpCreate, Take: []string{fmt.Sprintf("claim/%d", c)}})
				var taken *store.ReservedError
				switch {
				case err == nil:
					won.Add(1)
				case !errors.As(err, &taken):
					t.Errorf("Write %s: %v", key, err)
				case taken.Owner == key || taken.Owner == "":
					t.Errorf("%s lost to %q", key, taken.Owner)
				}
			}
		})
	}
	wg.Wait()
	if won.Load() != claims {
		t.Errorf("%d writers won %d claims", won.Load(), claims)
	}
	owners, err := s.Reservations(testContext(t), "claim/")
	if err != nil || len(owners) != claims {
		t.Errorf("%d claims are held, %v", len(owners), err)
	}
	if n := len(mustList(t, s, store.ListRequest{}).Entries); n != claims {
		t.Errorf("%d entries are there for %d claims", n, claims)
	}
}
