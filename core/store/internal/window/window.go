package window

import (
	"context"
	"sync"
	"time"

	"github.com/pintle-io/pintle/core/store"
)

// Limits bound the ring of recent events.
type Limits struct {
	Events int
	Bytes  int
}

// History reads changes that are older than the window: those after a revision
// to keys under a prefix, some of them at least, and the revision up to which
// the answer is complete. It fails with *store.CompactedError where they are
// gone.
type History func(ctx context.Context, prefix string, after uint64) (events []*store.Event, upTo uint64, err error)

// Window is the ring of recent events and the watchers that read it.
type Window struct {
	history  History
	bookmark time.Duration
	ring     ring

	wake   chan struct{} // holds one: there is something to dispatch
	stop   chan struct{}
	done   chan struct{}
	pumps  sync.WaitGroup
	closed sync.Once

	// mu guards the watchers. It is held while the dispatcher hands out a
	// batch, and never by Publish.
	mu sync.Mutex
	// dispatched is the revision up to which live watchers were served.
	dispatched uint64
	live       map[int]map[string]map[*Watcher]struct{} // by length of prefix, then prefix
	pumping    map[*Watcher]struct{}
	// due are live watches that caught up with the window just before it held
	// the revision of their first bookmark.
	due   map[*Watcher]struct{}
	ended error // why no watch can start any more
	count int
	slow  uint64
}

// Config is what New needs.
type Config struct {
	Limits  Limits
	History History
	// Start is the store's revision: the window is empty and complete after it.
	Start uint64
	// Bookmark is how long a watch that asked for bookmarks is left without
	// anything at most.
	Bookmark time.Duration
}

// New starts a window's dispatcher. Close ends it.
func New(c Config) *Window {
	w := &Window{
		history:    c.History,
		bookmark:   c.Bookmark,
		ring:       ring{limits: c.Limits, floor: c.Start, newest: c.Start},
		wake:       make(chan struct{}, 1),
		stop:       make(chan struct{}),
		done:       make(chan struct{}),
		dispatched: c.Start,
		live:       make(map[int]map[string]map[*Watcher]struct{}),
		pumping:    make(map[*Watcher]struct{}),
		due:        make(map[*Watcher]struct{}),
	}
	go w.dispatch()
	return w
}

// Publish adds the events that complete the window up to rev, in order. It
// never blocks on a watcher.
func (w *Window) Publish(events []*store.Event, rev uint64) {
	w.ring.add(events, rev)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Stats says how many watches run and how many were ended as slow so far.
func (w *Window) Stats() (watchers int, slow uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count, w.slow
}

// Newest returns the revision up to which events were published.
func (w *Window) Newest() uint64 {
	_, newest := w.ring.span()
	return newest
}

// Close ends every watch with err and waits for the window's goroutines.
func (w *Window) Close(err error) {
	w.closed.Do(func() {
		w.mu.Lock()
		w.ended = err
		for x := range w.pumping {
			x.endLocked(err)
		}
		for _, prefixes := range w.live {
			for _, watchers := range prefixes {
				for x := range watchers {
					x.endLocked(err)
				}
			}
		}
		w.mu.Unlock()
		close(w.stop)
		w.pumps.Wait()
	})
	<-w.done
}

// Compacted ends watches that still read history before rev: they can't go on.
func (w *Window) Compacted(rev uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for x := range w.pumping {
		if x.cursor < rev {
			x.endLocked(store.ErrSlow)
		}
	}
}

func (w *Window) dispatch() {
	defer close(w.done)
	ticker := time.NewTicker(w.bookmark / 4)
	defer ticker.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-w.wake:
			for w.deliver() {
			}
		case now := <-ticker.C:
			w.bookmarks(now)
		}
	}
}

// deliver hands the next events of the ring to live watchers and says whether
// more are left.
func (w *Window) deliver() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	from := w.dispatched
	events, upTo, ok := w.ring.after(from, "")
	if !ok {
		w.behindLocked()
		return true
	}
	now := time.Now()
	for length, prefixes := range w.live {
		batches := make(map[string][]*store.Event)
		for _, e := range events {
			if len(e.Key) < length {
				continue
			}
			if p := e.Key[:length]; prefixes[p] != nil {
				batches[p] = append(batches[p], e)
			}
		}
		for p, batch := range batches {
			for x := range prefixes[p] {
				x.offerLocked(batch, from, now)
			}
		}
	}
	w.dispatched = upTo
	for x := range w.due {
		switch {
		case upTo < x.first.at:
		case x.bookmarkLocked(now):
			x.first.due = false
			delete(w.due, x)
		default:
			x.cursor = max(x.cursor, upTo)
			x.pumpLocked()
		}
	}
	floor, newest := w.ring.span()
	for x := range w.pumping {
		if x.inWindow && x.cursor < floor {
			x.endLocked(store.ErrSlow)
		}
	}
	return upTo < newest
}

// behindLocked has every live watch read history after the dispatcher itself
// fell behind the ring: that is no fault of theirs.
func (w *Window) behindLocked() {
	floor, _ := w.ring.span()
	for _, prefixes := range w.live {
		for _, watchers := range prefixes {
			for x := range watchers {
				x.cursor = max(x.cursor, w.dispatched)
				x.inWindow = false
				x.pumpLocked()
			}
		}
	}
	w.dispatched = floor
}

func (w *Window) bookmarks(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, prefixes := range w.live {
		for _, watchers := range prefixes {
			for x := range watchers {
				if x.bookmarks && now.Sub(x.served) >= w.bookmark*3/4 {
					x.bookmarkLocked(now) // Else something is on its way already.
				}
			}
		}
	}
}

// Skip empties the window, which is complete after rev from then on: what came
// before could not be had. Watches that still need it ask history, and end as
// that says.
func (w *Window) Skip(rev uint64) {
	w.ring.skip(rev)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
