package window

import (
	"context"
	"sync"
	"time"

	"github.com/pintle-io/pintle/core/store"
)

// Watcher is one watch: a store.Watcher.
type Watcher struct {
	window    *Window
	prefix    string
	bookmarks bool
	events    chan []*store.Event
	quit      chan struct{} // closed when the watch is to end
	release   func() bool

	errMu sync.Mutex
	err   error

	// Below: guarded by window.mu.

	// cursor is the revision up to which the watch was served.
	cursor   uint64
	inWindow bool // the cursor was within the ring once
	isLive   bool
	isEnded  bool
	served   time.Time
}

// Watch starts a watch after a revision. now is the store's revision at the
// call, which the first bookmark waits for.
func (w *Window) Watch(ctx context.Context, req store.WatchRequest, now uint64) (*Watcher, error) {
	x := &Watcher{
		window:    w,
		prefix:    req.Prefix,
		bookmarks: req.Bookmarks,
		events:    make(chan []*store.Event, 1),
		quit:      make(chan struct{}),
		cursor:    req.After,
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended != nil {
		return nil, w.ended
	}
	w.count++
	x.startPumpLocked(now)
	x.release = context.AfterFunc(ctx, x.Stop)
	return x, nil
}

func (x *Watcher) Events() <-chan []*store.Event { return x.events }

func (x *Watcher) Err() error {
	x.errMu.Lock()
	defer x.errMu.Unlock()
	return x.err
}

func (x *Watcher) Stop() {
	x.window.mu.Lock()
	defer x.window.mu.Unlock()
	x.endLocked(nil)
}

// endLocked ends the watch. The one who may send on the channel closes it: its
// pump, or whoever holds the lock where it is live.
func (x *Watcher) endLocked(err error) {
	if x.isEnded {
		return
	}
	x.isEnded = true
	x.errMu.Lock()
	x.err = err
	x.errMu.Unlock()
	if x.release != nil {
		x.release()
	}
	close(x.quit)
	x.window.count--
	if err == store.ErrSlow {
		x.window.slow++
	}
	if x.isLive {
		x.leaveLiveLocked()
		close(x.events)
	}
}

func (x *Watcher) joinLiveLocked() {
	x.isLive = true
	prefixes := x.window.live[len(x.prefix)]
	if prefixes == nil {
		prefixes = make(map[string]map[*Watcher]struct{})
		x.window.live[len(x.prefix)] = prefixes
	}
	if prefixes[x.prefix] == nil {
		prefixes[x.prefix] = make(map[*Watcher]struct{})
	}
	prefixes[x.prefix][x] = struct{}{}
}

func (x *Watcher) leaveLiveLocked() {
	x.isLive = false
	prefixes := x.window.live[len(x.prefix)]
	delete(prefixes[x.prefix], x)
	if len(prefixes[x.prefix]) == 0 {
		delete(prefixes, x.prefix)
	}
	if len(prefixes) == 0 {
		delete(x.window.live, len(x.prefix))
	}
}

// offerLocked hands a live watch a batch of events, all later than from. A
// reader that has not taken the last batch yet gets this one from a pump.
func (x *Watcher) offerLocked(batch []*store.Event, from uint64, now time.Time) {
	x.cursor = max(x.cursor, from)
	for len(batch) > 0 && batch[0].Revision <= x.cursor {
		batch = batch[1:]
	}
	if len(batch) == 0 {
		return
	}
	select {
	case x.events <- batch:
		x.cursor = batch[len(batch)-1].Revision
		x.served = now
	default:
		x.pumpLocked()
	}
}

func (x *Watcher) pumpLocked() {
	x.leaveLiveLocked()
	x.startPumpLocked(0)
}

func (x *Watcher) startPumpLocked(bookmarkAt uint64) {
	x.window.pumping[x] = struct{}{}
	x.window.pumps.Add(1)
	go x.pump(x.cursor, bookmarkAt)
}

// pump serves the watch until it is live or ended. bookmarkAt, when not 0 and
// the watch wants bookmarks, is the revision at which the first one is due.
func (x *Watcher) pump(cursor, bookmarkAt uint64) {
	w := x.window
	defer w.pumps.Done()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer context.AfterFunc(quitContext{x.quit, ctx}, cancel)()

	wantBookmark := x.bookmarks
	if bookmarkAt == 0 && wantBookmark {
		// A pump that took over from the dispatcher: the first was sent before.
		wantBookmark = false
	}
	_ = wantBookmark
	_ = cursor
}
