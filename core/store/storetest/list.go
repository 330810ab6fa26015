package storetest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/pintle-io/pintle/core/store"
)

func testList(t *testing.T, s *Instance) {
	empty := mustList(t, s, store.ListRequest{})
	if len(empty.Entries) != 0 || empty.Revision != 0 || empty.More {
		t.Errorf("list of an empty store is %+v", empty)
	}
	for _, key := range []string{"/pods/b/2", "/pods/a/1", "/pods", "/pods/b/1", "/services/a", "/pods/b/10", "/podsx"} {
		create(t, s, key, key)
	}
	remove(t, s, "/pods/b/2")
	for prefix, want := range map[string][]string{
		"":             {"/pods", "/pods/a/1", "/pods/b/1", "/pods/b/10", "/podsx", "/services/a"},
		"/pods/":       {"/pods/a/1", "/pods/b/1", "/pods/b/10"},
		"/pods/b/":     {"/pods/b/1", "/pods/b/10"},
		"/pods/b/1":    {"/pods/b/1", "/pods/b/10"},
		"/none/":       nil,
		"/services/a0": nil,
	} {
		list := mustList(t, s, store.ListRequest{Prefix: prefix})
		var got []string
		for _, e := range list.Entries {
			got = append(got, e.Key)
			if string(e.Value) != e.Key {
				t.Errorf("value of %s is %q", e.Key, e.Value)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || list.More {
			t.Errorf("list of %q is %v more %v, want %v", prefix, got, list.More, want)
		}
		if list.Revision != revision(t, s) {
			t.Errorf("list is of revision %d", list.Revision)
		}
	}
}

func testListPages(t *testing.T, s *Instance) {
	const n = 25
	for i := range n {
		create(t, s, fmt.Sprintf("/k/%02d", i), "old")
	}
	create(t, s, "/other", "")
	for _, limit := range []int{1, 7, n - 1, n, n + 1} {
		var keys []string
		req := store.ListRequest{Prefix: "/k/", Limit: limit}
		for {
			page := mustList(t, s, req)
			if len(page.Entries) > limit {
				t.Fatalf("page of %d has %d entries", limit, len(page.Entries))
			}
			for _, e := range page.Entries {
				keys = append(keys, e.Key)
				if string(e.Value) == "new" && e.Revision > page.Revision {
					t.Fatalf("page of revision %d has %s of %d", page.Revision, e.Key, e.Revision)
				}
			}
			left := int64(n - len(keys))
			if page.More != (left > 0) || page.More && page.Remaining != -1 && page.Remaining != left {
				t.Fatalf("with %d entries left, more is %v and %d remain", left, page.More, page.Remaining)
			}
			if req.Revision != 0 && page.Revision != req.Revision {
				t.Fatalf("page is of revision %d, asked for %d", page.Revision, req.Revision)
			}
			if !page.More {
				break
			}
			// Whatever happens between pages is not in them.
			update(t, s, fmt.Sprintf("/k/%02d", n-1), "new")
			create(t, s, fmt.Sprintf("/k/%02d.%d.%d", n-1, limit, len(keys)), "new")
			req.Revision, req.After = page.Revision, page.Entries[len(page.Entries)-1].Key
		}
		if len(keys) != n {
			t.Errorf("pages of %d hold %d entries, want %d", limit, len(keys), n)
		}
		for _, e := range mustList(t, s, store.ListRequest{Prefix: fmt.Sprintf("/k/%02d.", n-1)}).Entries {
			remove(t, s, e.Key)
		}
	}
}

// churn lets several writers create, update and delete a few keys at random.
func churn(t *testing.T, s store.Store, writers, each int) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 7))
			for i := range each {
				req := store.WriteRequest{
					Key:   fmt.Sprintf("/%d/%d", random.IntN(2), random.IntN(6)),
					Op:    store.Op(1 + random.IntN(3)),
					Value: fmt.Appendf(nil, "%d-%d", w, i),
				}
				if req.Op != store.OpDelete && random.IntN(2) == 0 {
					req.Take = []string{fmt.Sprintf("claim-%d", random.IntN(4))}
				}
				if _, err := s.Write(testContext(t), req); err != nil && !isRefusal(err) {
					t.Errorf("Write %s: %v", describe(req), err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// testListAtEveryRevision compares a list of each revision with what the events
// up to it say, also of revisions that shared a batch with others.
func testListAtEveryRevision(t *testing.T, s *Instance) {
	churn(t, s, 12, 40)
	events := eventsAfter(t, s, 0)
	st := newState()
	for _, e := range events {
		if err := st.apply(e); err != nil {
			t.Fatal(err)
		}
		for _, prefix := range []string{"", "/1/"} {
			list := mustList(t, s, store.ListRequest{Prefix: prefix, Revision: e.Revision})
			if err := st.equal(prefix, list.Entries); err != nil {
				t.Fatalf("list of %q at revision %d: %v", prefix, e.Revision, err)
			}
			if list.Revision != e.Revision {
				t.Fatalf("list at revision %d says %d", e.Revision, list.Revision)
			}
		}
		// Pages of one entry come to the same.
		var paged []store.Entry
		req := store.ListRequest{Revision: e.Revision, Limit: 1}
		for {
			page := mustList(t, s, req)
			paged = append(paged, page.Entries...)
			if !page.More {
				break
			}
			req.After = page.Entries[0].Key
		}
		if err := st.equal("", paged); err != nil {
			t.Fatalf("pages at revision %d: %v", e.Revision, err)
		}
	}
}

func testListRevisionErrors(t *testing.T, s *Instance) {
	for i := range 10 {
		create(t, s, fmt.Sprintf("/%d", i), "")
	}
	newest := revision(t, s)
	_, err := s.List(testContext(t), store.ListRequest{Revision: newest + 1})
	future := errorAs[*store.FutureError](t, err)
	if future.Requested != newest+1 || future.Newest != newest {
		t.Errorf("error is %v", future)
	}
	if err := s.Compact(testContext(t), newest-2); err != nil {
		t.Fatal(err)
	}
	_, err = s.List(testContext(t), store.ListRequest{Revision: newest - 3})
	compacted := errorAs[*store.CompactedError](t, err)
	if compacted.Requested != newest-3 || compacted.Oldest != newest-2 {
		t.Errorf("error is %v", compacted)
	}
	if n := len(mustList(t, s, store.ListRequest{Revision: newest - 2}).Entries); n != 8 {
		t.Errorf("oldest revision has %d entries, want 8", n)
	}
}
