package loop

import (
	"container/heap"
	"container/list"
	"sync"
	"time"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// maxPause is how long changes are kept from bringing a failed key back, so
// that a loop whose failing decisions change something does not spin.
const maxPause = time.Second

// queue knows which keys are due. A key is there once at most and in flight
// once at most; first due, first served, so that no key starves another.
type queue struct {
	backoff Backoff
	now     func() time.Time

	mu      sync.Mutex
	items   map[Key]*item
	ready   list.List // of *item, in order
	held    itemHeap  // by revision
	delayed itemHeap  // by when they are due
}

type itemState uint8

const (
	stateIdle itemState = iota
	stateReady
	stateHeld
	stateDelayed
	stateInFlight
)

// item is one key with what is known of it.
type item struct {
	key   Key
	state itemState
	// revision up to which changes must have been sent before the key is
	// worked on.
	revision uint64
	// again is true where a key became due while it was in flight or held.
	again bool
	// attempt is how often it failed in a row, failures what the API refused.
	attempt  int
	failures []*pluginv1.ActionResult
	due      time.Time // of a delayed one
	// earliest is before when no change brings the key back: its loop failed or
	// works on it without pause.
	earliest time.Time
	pace     pace
	since    time.Time // when it became ready
	place    *list.Element
	index    int // in the heap of its state
}

func newQueue(b Backoff, now func() time.Time) *queue {
	return &queue{
		backoff: b, now: now, items: map[Key]*item{},
		held:    itemHeap{before: func(a, b *item) bool { return a.revision < b.revision }},
		delayed: itemHeap{before: func(a, b *item) bool { return a.due.Before(b.due) }},
	}
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

// depth returns how many keys are ready, and how many wait for their time.
func (q *queue) depth() (ready, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ready.Len() + q.held.Len(), q.delayed.Len()
}

// add makes a key due, once changes up to a revision were sent.
func (q *queue) add(key Key, revision uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.item(key)
	it.revision = max(it.revision, revision)
	switch it.state {
	case stateInFlight:
		it.again = true
	case stateHeld:
		it.again = true
		heap.Fix(&q.held, it.index)
	case stateDelayed:
		if now := q.now(); it.earliest.After(now) {
			it.due = earlier(it.due, it.earliest)
			heap.Fix(&q.delayed, it.index)
			return
		}
		heap.Remove(&q.delayed, it.index)
		q.makeReady(it)
	case stateIdle:
		q.makeReady(it)
	case stateReady:
	}
}

// next takes up to n keys that are due into flight. Keys that wait for changes
// after the revision sent are set aside.
func (q *queue) next(n int, sent uint64) []*item {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.release(sent)
	q.expire()
	var out []*item
	for len(out) < n && q.ready.Len() > 0 {
		it := q.ready.Remove(q.ready.Front()).(*item)
		it.place = nil
		if it.revision > sent {
			it.again = true
			q.hold(it)
			continue
		}
		if until, ok := it.pace.step(q.now()); !ok {
			it.earliest = until
			q.delayUntil(it, until)
			continue
		}
		it.state, it.again = stateInFlight, false
		out = append(out, it)
	}
	return out
}

// release lets go of held keys whose changes were sent.
func (q *queue) release(sent uint64) {
	for q.held.Len() > 0 && q.held.items[0].revision <= sent {
		it := heap.Pop(&q.held).(*item)
		if it.again {
			q.makeReady(it)
		} else {
			q.forget(it)
		}
	}
}

// expire makes delayed keys ready whose time has come.
func (q *queue) expire() {
	now := q.now()
	for q.delayed.Len() > 0 && !q.delayed.items[0].due.After(now) {
		q.makeReady(heap.Pop(&q.delayed).(*item))
	}
}

// result is what became of a key in flight.
type result struct {
	// failed keys come again with backoff.
	failed   bool
	terminal bool // though failed, it does not come again by itself
	failures []*pluginv1.ActionResult
	// requeue is when the key is due again; 0 for never.
	requeue time.Duration
	// revision of the newest change that its decision made.
	revision uint64
}

// done ends a key's flight.
func (q *queue) done(it *item, r result) {
	q.mu.Lock()
	defer q.mu.Unlock()
	it.revision = max(it.revision, r.revision)
	it.failures = r.failures
	if r.failed {
		it.attempt++
	} else {
		it.attempt = 0
	}
	it.state = stateIdle
	switch now := q.now(); {
	case r.failed && (it.again || !r.terminal):
		wait := q.backoff.delay(it.attempt)
		it.earliest = now.Add(min(wait, maxPause))
		if it.again {
			wait = min(wait, maxPause)
		}
		q.delayUntil(it, now.Add(wait))
	case it.again:
		q.makeReady(it)
	case r.requeue > 0:
		q.delayUntil(it, now.Add(r.requeue))
	case it.attempt == 0:
		q.hold(it)
	}
}

// putBack ends a key's flight without a result: it is due as before.
func (q *queue) putBack(it *item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.makeReady(it)
}

// wait returns how long it is until a delayed key is due; false where there is
// none.
func (q *queue) wait() (time.Duration, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.delayed.Len() == 0 {
		return 0, false
	}
	return max(q.delayed.items[0].due.Sub(q.now()), 0), true
}

func (q *queue) item(key Key) *item {
	it := q.items[key]
	if it == nil {
		it = &item{key: key}
		q.items[key] = it
	}
	return it
}

func (q *queue) makeReady(it *item) {
	it.state, it.again, it.since = stateReady, false, q.now()
	it.place = q.ready.PushBack(it)
}

// hold keeps an item until its changes were sent.
func (q *queue) hold(it *item) {
	it.state = stateHeld
	heap.Push(&q.held, it)
}

func (q *queue) delayUntil(it *item, due time.Time) {
	it.state, it.due, it.again = stateDelayed, due, false
	heap.Push(&q.delayed, it)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (q *queue) forget(it *item) {
	it.state = stateIdle
	delete(q.items, it.key)
}

// itemHeap keeps the item first that comes before all others.
type itemHeap struct {
	items  []*item
	before func(a, b *item) bool
}

func (h *itemHeap) Len() int           { return len(h.items) }
func (h *itemHeap) Less(i, j int) bool { return h.before(h.items[i], h.items[j]) }

func (h *itemHeap) Swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.items[i].index, h.items[j].index = i, j
}

func (h *itemHeap) Push(x any) {
	it := x.(*item)
	it.index = len(h.items)
	h.items = append(h.items, it)
}

func (h *itemHeap) Pop() any {
	last := len(h.items) - 1
	it := h.items[last]
	h.items[last] = nil
	h.items = h.items[:last]
	return it
}
