package storetest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/pintle-io/pintle/core/store"
)

// state is what a store holds at a revision, as its events tell it.
type state struct {
	revision uint64
	entries  map[string]store.Entry
}

func newState() *state { return &state{entries: make(map[string]store.Entry)} }

func (s *state) clone() *state {
	return &state{revision: s.revision, entries: maps.Clone(s.entries)}
}

// apply makes an event's change and checks that it could follow what was.
func (s *state) apply(e *store.Event) error {
	if e.Revision <= s.revision {
		return fmt.Errorf("event of revision %d after revision %d", e.Revision, s.revision)
	}
	was, found := s.entries[e.Key]
	switch {
	case e.Type == store.EventCreated && found:
		return fmt.Errorf("revision %d creates %s, which is there since %d", e.Revision, e.Key, was.Created)
	case e.Type != store.EventCreated && !found:
		return fmt.Errorf("revision %d changes %s, which is not there", e.Revision, e.Key)
	case string(e.Previous) != string(was.Value):
		return fmt.Errorf("revision %d changes %s from %.40q, which was %.40q", e.Revision, e.Key, e.Previous, was.Value)
	}
	s.revision = e.Revision
	switch e.Type {
	case store.EventCreated:
		s.entries[e.Key] = store.Entry{Key: e.Key, Value: e.Value, Revision: e.Revision, Created: e.Revision}
	case store.EventUpdated:
		s.entries[e.Key] = store.Entry{Key: e.Key, Value: e.Value, Revision: e.Revision, Created: was.Created}
	case store.EventDeleted:
		if len(e.Value) > 0 {
			return fmt.Errorf("revision %d deletes %s with a value", e.Revision, e.Key)
		}
		delete(s.entries, e.Key)
	default:
		return fmt.Errorf("revision %d has the unknown type %d", e.Revision, e.Type)
	}
	return nil
}

// equal compares the entries under a prefix with a list.
func (s *state) equal(prefix string, list []store.Entry) error {
	var keys []string
	for key := range s.entries {
		if len(key) >= len(prefix) && key[:len(prefix)] == prefix {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for i, key := range keys {
		if i >= len(list) {
			return fmt.Errorf("%s is missing", key)
		}
		want, got := s.entries[key], list[i]
		if got.Key != want.Key || string(got.Value) != string(want.Value) || got.Revision != want.Revision || got.Created != want.Created {
			return fmt.Errorf("entry %d is %s=%.40q at %d created %d, want %s=%.40q at %d created %d", i,
				got.Key, got.Value, got.Revision, got.Created, want.Key, want.Value, want.Revision, want.Created)
		}
	}
	if len(list) > len(keys) {
		return fmt.Errorf("%s should not be there", list[len(keys)].Key)
	}
	return nil
}

// collect reads a watch until it has delivered everything up to a revision.
// The watch must be one with bookmarks, or one whose prefix has a change there.
func collect(t *testing.T, w store.Watcher, upTo uint64) []*store.Event {
	t.Helper()
	var events []*store.Event
	timeout := time.After(patience)
	for {
		select {
		case batch, ok := <-w.Events():
			if !ok {
				t.Fatalf("watch ended before revision %d: %v", upTo, w.Err())
			}
			if len(batch) == 0 {
				t.Fatal("watch delivered an empty batch")
			}
			for _, e := range batch {
				if e.Type != store.EventBookmark {
					events = append(events, e)
				}
				if e.Revision >= upTo {
					return events
				}
			}
		case <-timeout:
			t.Fatalf("watch did not reach revision %d in %v", upTo, patience)
		}
	}
}

// eventsAfter returns every event after a revision up to the newest.
func eventsAfter(t *testing.T, s store.Store, after uint64) []*store.Event {
	t.Helper()
	now := revision(t, s)
	if now == after {
		return nil
	}
	w := mustWatch(t, s, store.WatchRequest{After: after, Bookmarks: true})
	defer w.Stop()
	return collect(t, w, now)
}
