package window

import (
	"sort"
	"sync"

	"github.com/pintle-io/pintle/core/store"
)

const (
	maxBatchEvents = 512
	maxBatchBytes  = 1 << 20
	// eventOverhead is what an event costs beside its key and values: the
	// struct, the ring's slot and what its user derives from it at the least.
	eventOverhead = 256
)

// ring holds consecutive events, oldest first, bounded in count and bytes.
type ring struct {
	limits Limits

	mu     sync.RWMutex
	events []*store.Event // circular: n events from head on
	head   int
	n      int
	bytes  int
	// floor and newest bound what the ring is complete for: it holds every
	// event with floor < Revision <= newest.
	floor, newest uint64
}

func size(e *store.Event) int {
	return eventOverhead + len(e.Key) + len(e.Value) + len(e.Previous)
}

func (r *ring) at(i int) *store.Event { return r.events[(r.head+i)%len(r.events)] }

// add appends events, in revision order, that complete the ring up to rev.
func (r *ring) add(events []*store.Event, rev uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		for r.n > 0 && (r.n >= r.limits.Events || r.bytes+size(e) > r.limits.Bytes) {
			r.evict()
		}
		if r.n == len(r.events) {
			r.grow()
		}
		r.events[(r.head+r.n)%len(r.events)] = e
		r.n++
		r.bytes += size(e)
	}
	r.newest = rev
}

func (r *ring) skip(rev uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events, r.head, r.n, r.bytes = nil, 0, 0, 0
	r.floor, r.newest = rev, rev
}

func (r *ring) evict() {
	e := r.events[r.head]
	r.events[r.head] = nil
	r.head = (r.head + 1) % len(r.events)
	r.n--
	r.bytes -= size(e)
	r.floor = e.Revision
}

func (r *ring) grow() {
	grown := make([]*store.Event, max(64, 2*len(r.events)))
	for i := range r.n {
		grown[i] = r.at(i)
	}
	r.events, r.head = grown, 0
}

func (r *ring) span() (floor, newest uint64) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.floor, r.newest
}

// after returns the events after a revision whose keys begin with prefix, at
// most about one batch of them, and the revision up to which that is complete.
// It is false where events after the revision have left the ring.
func (r *ring) after(rev uint64, prefix string) (events []*store.Event, upTo uint64, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if rev < r.floor {
		return nil, 0, false
	}
	start := sort.Search(r.n, func(i int) bool { return r.at(i).Revision > rev })
	var bytes int
	for i := start; i < r.n; i++ {
		e := r.at(i)
		if !hasPrefix(e.Key, prefix) {
			continue
		}
		if len(events) == maxBatchEvents || (len(events) > 0 && bytes+size(e) > maxBatchBytes) {
			return events, events[len(events)-1].Revision, true
		}
		events = append(events, e)
		bytes += size(e)
	}
	return events, max(rev, r.newest), true
}

func hasPrefix(key, prefix string) bool {
	return len(key) >= len(prefix) && key[:len(prefix)] == prefix
}
