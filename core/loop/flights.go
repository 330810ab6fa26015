package loop

import (
	"sync"
	"time"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// flights are the work items that a session sent and whose decisions are not
// applied yet.
type flights struct {
	mu    sync.Mutex
	last  uint64
	items map[uint64]*flight
	// thinking are those without a decision, oldest first.
	thinking []*flight
}

type flight struct {
	id      uint64
	item    *item
	sent    time.Time
	decided bool
}

func (f *flights) add(it *item, now time.Time) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	fl := &flight{id: f.last, item: it, sent: now}
	f.items[fl.id] = fl
	f.thinking = append(f.thinking, fl)
	return fl.id
}

// decide returns the flight that a decision answers; nil where there is none
// or it was answered before.
func (f *flights) decide(id uint64) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.items[id]
	if fl == nil || fl.decided {
		return nil
	}
	fl.decided = true
	return fl
}

// land ends a flight.
func (f *flights) land(id uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.items, id)
}

func (f *flights) len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.items)
}

// oldest returns the flight that waits longest for a decision.
func (f *flights) oldest() *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for n < len(f.thinking) && f.thinking[n].decided {
		n++
	}
	if n > 0 {
		f.thinking = append(f.thinking[:0], f.thinking[n:]...)
	}
	if len(f.thinking) == 0 {
		return nil
	}
	return f.thinking[0]
}

// clear returns the flights that got no decision.
func (f *flights) clear() []*flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	var left []*flight
	for _, fl := range f.items {
		if !fl.decided {
			left = append(left, fl)
		}
	}
	f.items, f.thinking = map[uint64]*flight{}, nil
	return left
}

// maxRefusals bounds the refusals that wait to be told.
const maxRefusals = 1000

// outbox holds outcomes that were not sent yet.
type outbox struct {
	mu       sync.Mutex
	outcomes []*pluginv1.Outcome
}

func (o *outbox) put(out *pluginv1.Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if out.Refused != "" && len(o.outcomes) >= maxRefusals {
		return
	}
	o.outcomes = append(o.outcomes, out)
}

func (o *outbox) take() []*pluginv1.Outcome {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := o.outcomes
	o.outcomes = nil
	return out
}

func (o *outbox) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.outcomes) == 0
}
