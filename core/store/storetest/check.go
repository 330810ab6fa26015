package storetest

import (
	"testing"

	"github.com/pintle-io/pintle/core/store"
)

// Check fails the test where the store's newest state contradicts itself: its
// entries, what paging and getting shows of them, its history from the oldest
// revision that is kept, and its reservations.
func Check(t *testing.T, s *Instance) {
	t.Helper()
	if _, err := s.Revision(t.Context()); err != nil {
		return // The test closed it.
	}
	list := mustList(t, s, store.ListRequest{})
	seen := make(map[uint64]string)
	last := ""
	for _, e := range list.Entries {
		switch {
		case e.Key <= last:
			t.Errorf("%s is listed after %s", e.Key, last)
		case e.Revision == 0 || e.Created == 0 || e.Created > e.Revision || e.Revision > list.Revision:
			t.Errorf("%s has revision %d, created %d, in a list of revision %d", e.Key, e.Revision, e.Created, list.Revision)
		case seen[e.Revision] != "":
			t.Errorf("%s and %s share revision %d", seen[e.Revision], e.Key, e.Revision)
		}
		last, seen[e.Revision] = e.Key, e.Key
		got := mustGet(t, s, e.Key)
		wantEntry(t, got, e.Key, string(e.Value), e.Revision, e.Created)
	}

	owners, err := s.Reservations(testContext(t), "")
	if err != nil {
		t.Fatalf("Reservations: %v", err)
	}
	for name, owner := range owners {
		if _, err := s.Get(testContext(t), owner); err != nil {
			t.Errorf("%s is held by %s: %v", name, owner, err)
		}
		if one, err := s.Reservation(testContext(t), name); err != nil || one != owner {
			t.Errorf("Reservation %s is %q, %v; Reservations has %q", name, one, err, owner)
		}
	}

	oldest := uint64(0)
	var compacted *store.CompactedError
	if _, err := s.List(testContext(t), store.ListRequest{Revision: 1, Limit: 1}); asError(err, &compacted) {
		oldest = compacted.Oldest
	}
	checkHistory(t, s, oldest, list)
	if s.Verify != nil {
		s.Verify(t, s.Store)
	}
}

// checkHistory replays history from a revision on and compares where it ends.
func checkHistory(t *testing.T, s store.Store, oldest uint64, list store.ListResponse) {
	t.Helper()
	if list.Revision == 0 {
		return
	}
	st := newState()
	if oldest > 0 {
		for _, e := range mustList(t, s, store.ListRequest{Revision: oldest}).Entries {
			st.entries[e.Key] = e
		}
	}
	st.revision = oldest
	for _, e := range eventsAfter(t, s, oldest) {
		if err := st.apply(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.equal("", list.Entries); err != nil {
		t.Errorf("history from revision %d on does not end in what is listed at %d: %v", oldest, list.Revision, err)
	}
}
