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
	held    map[*item]struct{}
	delayed delayHeap
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
	index    int // in the heap
}

func newQueue(b Backoff, now func() time.Time) *queue {
	return &queue{backoff: b, now: now, items: map[Key]*item{}, held: map[*item]struct{}{}}
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
	return q.ready.Len() + len(q.held), len(q.delayed)
}

// add makes a key due, once changes up to a revision were sent.
func (q *queue) add(key Key, revision uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.item(key)
	it.revision = max(it.revision, revision)
	switch it.state {
	case stateInFlight, stateHeld:
		it.again = true
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
			it.state, it.again = stateHeld, true
			q.held[it] = struct{}{}
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
	for it := range q.held {
		if it.revision > sent {
			continue
		}
		delete(q.held, it)
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
	for len(q.delayed) > 0 && !q.delayed[0].due.After(now) {
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
		it.state = stateHeld
		q.held[it] = struct{}{}
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
	if len(q.delayed) == 0 {
		return 0, false
	}
	return max(q.delayed[0].due.Sub(q.now()), 0), true
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

// delayHeap orders items by when they are due.
type delayHeap []*item

func (h delayHeap) Len() int           { return len(h) }
func (h delayHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h delayHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *delayHeap) Push(x any) {
	it := x.(*item)
	it.index = len(*h)
	*h = append(*h, it)
}

func (h *delayHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return it
}
