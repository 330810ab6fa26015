package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/pintle-io/pintle/core/store"
)

func asError[T error](err error, target *T) bool { return errors.As(err, target) }

func testCreate(t *testing.T, s *Instance) {
	ctx := testContext(t)
	_, err := s.Get(ctx, "/a")
	wantError(t, err, store.ErrNotFound)
	if rev := revision(t, s); rev != 0 {
		t.Errorf("revision of an empty store is %d", rev)
	}

	e := create(t, s, "/a", "one")
	wantEntry(t, e, "/a", "one", e.Revision, e.Revision)
	wantEntry(t, mustGet(t, s, "/a"), "/a", "one", e.Revision, e.Revision)

	_, err = s.Write(ctx, store.WriteRequest{Key: "/a", Op: store.OpCreate, Value: []byte("two")})
	wantError(t, err, store.ErrExists)
	// IfRevision is ignored by a create.
	b := mustWrite(t, s, store.WriteRequest{Key: "/b", Op: store.OpCreate, IfRevision: 77})
	wantEntry(t, mustGet(t, s, "/b"), "/b", "", b.Revision, b.Revision)
	wantEntry(t, mustGet(t, s, "/a"), "/a", "one", e.Revision, e.Revision)
	if rev := revision(t, s); rev != b.Revision {
		t.Errorf("revision is %d after a write of %d", rev, b.Revision)
	}
}

func testUpdate(t *testing.T, s *Instance) {
	ctx := testContext(t)
	_, err := s.Write(ctx, store.WriteRequest{Key: "/a", Op: store.OpUpdate, Value: []byte("x")})
	wantError(t, err, store.ErrNotFound)

	one := create(t, s, "/a", "one")
	two := update(t, s, "/a", "two")
	wantEntry(t, two, "/a", "two", two.Revision, one.Revision)
	if two.Revision <= one.Revision {
		t.Errorf("revision %d after %d", two.Revision, one.Revision)
	}

	_, err = s.Write(ctx, store.WriteRequest{Key: "/a", Op: store.OpUpdate, Value: []byte("x"), IfRevision: one.Revision})
	conflict := errorAs[*store.ConflictError](t, err)
	wantEntry(t, conflict.Entry, "/a", "two", two.Revision, one.Revision)
	if conflict.Expected != one.Revision {
		t.Errorf("conflict expects %d, want %d", conflict.Expected, one.Revision)
	}
	three := mustWrite(t, s, store.WriteRequest{Key: "/a", Op: store.OpUpdate, Value: []byte("three"), IfRevision: two.Revision})
	wantEntry(t, mustGet(t, s, "/a"), "/a", "three", three.Revision, one.Revision)

	// The same value again is a change of its own.
	four := update(t, s, "/a", "three")
	if four.Revision <= three.Revision {
		t.Errorf("revision %d after %d", four.Revision, three.Revision)
	}
}

func testDelete(t *testing.T, s *Instance) {
	ctx := testContext(t)
	_, err := s.Write(ctx, store.WriteRequest{Key: "/a", Op: store.OpDelete})
	wantError(t, err, store.ErrNotFound)

	one := create(t, s, "/a", "one")
	two := update(t, s, "/a", "two")
	_, err = s.Write(ctx, store.WriteRequest{Key: "/a", Op: store.OpDelete, IfRevision: one.Revision})
	wantEntry(t, errorAs[*store.ConflictError](t, err).Entry, "/a", "two", two.Revision, one.Revision)

	gone := mustWrite(t, s, store.WriteRequest{Key: "/a", Op: store.OpDelete, IfRevision: two.Revision})
	wantEntry(t, gone, "/a", "two", gone.Revision, one.Revision)
	if gone.Revision <= two.Revision {
		t.Errorf("revision of the deletion is %d after %d", gone.Revision, two.Revision)
	}
	_, err = s.Get(ctx, "/a")
	wantError(t, err, store.ErrNotFound)
	_, err = s.Write(ctx, store.WriteRequest{Key: "/a", Op: store.OpDelete})
	wantError(t, err, store.ErrNotFound)

	again := create(t, s, "/a", "again")
	wantEntry(t, mustGet(t, s, "/a"), "/a", "again", again.Revision, again.Revision)
}

func testInvalidWrites(t *testing.T, s *Instance) {
	ctx := testContext(t)
	for name, req := range map[string]store.WriteRequest{
		"no key":            {Op: store.OpCreate},
		"key too long":      {Key: "/" + strings.Repeat("k", 1<<16), Op: store.OpCreate},
		"no operation":      {Key: "/a"},
		"unknown operation": {Key: "/a", Op: 9},
		"empty claim":       {Key: "/a", Op: store.OpCreate, Take: []string{""}},
		"delete that takes": {Key: "/a", Op: store.OpDelete, Take: []string{"c"}},
	} {
		if _, err := s.Write(ctx, req); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: error is %v, want %v", name, err, store.ErrInvalid)
		}
	}
	if rev := revision(t, s); rev != 0 {
		t.Errorf("revision is %d after invalid writes alone", rev)
	}
}

// testValuesAreKept changes what it wrote in its own buffer afterwards.
func testValuesAreKept(t *testing.T, s *Instance) {
	w := mustWatch(t, s, store.WatchRequest{Prefix: "/"})
	value := []byte("as written")
	e := mustWrite(t, s, store.WriteRequest{Key: "/a", Op: store.OpCreate, Value: value})
	copy(value, "overwritten")
	wantEntry(t, mustGet(t, s, "/a"), "/a", "as written", e.Revision, e.Revision)
	if events := collect(t, w, e.Revision); string(events[0].Value) != "as written" {
		t.Errorf("event has %q", events[0].Value)
	}
	binary := string([]byte{0, 1, 255, 0})
	b := create(t, s, "/binary\x00\xff", binary)
	wantEntry(t, mustGet(t, s, "/binary\x00\xff"), "/binary\x00\xff", binary, b.Revision, b.Revision)
}

func testLargeValues(t *testing.T, s *Instance) {
	_, err := s.Write(testContext(t), store.WriteRequest{Key: "/big", Op: store.OpCreate, Value: make([]byte, s.MaxValueSize+1)})
	tooLarge := errorAs[*store.TooLargeError](t, err)
	if tooLarge.Size != s.MaxValueSize+1 || tooLarge.Limit != s.MaxValueSize {
		t.Errorf("error says %d over %d", tooLarge.Size, tooLarge.Limit)
	}
	// Values shrink and grow across whatever sizes the implementation splits at.
	sizes := []int{s.MaxValueSize, 10, s.MaxValueSize / 2, s.MaxValueSize/3 + 1, s.MaxValueSize, 0, 512 << 10, 512<<10 + 1}
	values := make(map[uint64]string)
	var last store.Entry
	for i, size := range sizes {
		value := string(bytes.Repeat([]byte{byte('a' + i)}, size))
		if i == 0 {
			last = create(t, s, "/big", value)
		} else {
			last = update(t, s, "/big", value)
		}
		values[last.Revision] = value
		if got := mustGet(t, s, "/big"); string(got.Value) != value {
			t.Fatalf("value of %d bytes came back as %d", size, len(got.Value))
		}
	}
	remove(t, s, "/big")
	for rev, value := range values {
		list := mustList(t, s, store.ListRequest{Revision: rev})
		if len(list.Entries) != 1 || string(list.Entries[0].Value) != value {
			t.Errorf("value of %d bytes is wrong in a list of revision %d", len(value), rev)
		}
	}

	// More of them at once than one batch holds.
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			key := fmt.Sprintf("/large/%d", i)
			_, err := s.Write(testContext(t), store.WriteRequest{Key: key, Op: store.OpCreate, Value: bytes.Repeat([]byte{byte(i)}, s.MaxValueSize)})
			if err != nil {
				t.Errorf("Write %s: %v", key, err)
			}
		})
	}
	wg.Wait()
	if list := mustList(t, s, store.ListRequest{Prefix: "/large/"}); len(list.Entries) != 8 {
		t.Errorf("%d of 8 large values are there", len(list.Entries))
	}
}

// testRevisions has many writers at once: each write has a revision of its own,
// and one that began after another ended has the higher one.
func testRevisions(t *testing.T, s *Instance) {
	const writers, each = 16, 20
	var mu sync.Mutex
	seen := make(map[uint64]string)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			var last uint64
			for i := range each {
				key := fmt.Sprintf("/%d/%d", w, i)
				e, err := s.Write(testContext(t), store.WriteRequest{Key: key, Op: store.OpCreate})
				if err != nil {
					t.Errorf("Write %s: %v", key, err)
					return
				}
				if e.Revision <= last {
					t.Errorf("%s has revision %d, a write before it %d", key, e.Revision, last)
				}
				last = e.Revision
				mu.Lock()
				if other := seen[e.Revision]; other != "" {
					t.Errorf("%s and %s share revision %d", key, other, e.Revision)
				}
				seen[e.Revision] = key
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func testWriteContext(t *testing.T, s *Instance) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Write(ctx, store.WriteRequest{Key: "/a", Op: store.OpCreate})
	wantError(t, err, context.Canceled)
	if errors.Is(err, store.ErrUnknownOutcome) {
		t.Errorf("a write that never began has an unknown outcome: %v", err)
	}
	_, err = s.Get(testContext(t), "/a")
	wantError(t, err, store.ErrNotFound)

	// Writes given up at random moments are made or not, and never twice.
	var wg sync.WaitGroup
	outcomes := make([]error, 200)
	for i := range outcomes {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, outcomes[i] = s.Write(ctx, store.WriteRequest{Key: fmt.Sprintf("/n/%d", i), Op: store.OpCreate})
			}()
			if i%2 == 0 {
				cancel()
			}
			<-done
			cancel()
		})
	}
	wg.Wait()
	for i, err := range outcomes {
		_, getErr := s.Get(testContext(t), fmt.Sprintf("/n/%d", i))
		switch {
		case err == nil && getErr != nil:
			t.Errorf("write %d was acknowledged: %v", i, getErr)
		case err != nil && !errors.Is(err, context.Canceled):
			t.Errorf("write %d: error is %v, want %v", i, err, context.Canceled)
		case err != nil && !errors.Is(err, store.ErrUnknownOutcome) && !errors.Is(getErr, store.ErrNotFound):
			t.Errorf("write %d failed with %v and was made", i, err)
		}
	}
}
