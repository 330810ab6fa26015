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
	ctx       context.Context // ends with the watch
	cancel    context.CancelFunc
	release   func() bool // lets go of the caller's context

	errMu sync.Mutex
	err   error

	// Below: guarded by window.mu.

	// cursor is the revision up to which the watch was served.
	cursor uint64
	// first is the bookmark that is due when the watch has caught up.
	first firstBookmark

	inWindow bool // the cursor was within the ring once
	isLive   bool
	isEnded  bool
	served   time.Time
}

// firstBookmark is due once the watch has come to the store's revision as it was
// at the call.
type firstBookmark struct {
	due bool
	at  uint64
}

// Watch starts a watch after a revision. now is the store's revision at the
// call, which the first bookmark waits for.
func (w *Window) Watch(ctx context.Context, req store.WatchRequest, now uint64) (*Watcher, error) {
	x := &Watcher{
		window:    w,
		prefix:    req.Prefix,
		bookmarks: req.Bookmarks,
		events:    make(chan []*store.Event, 1),
		cursor:    req.After,
	}
	x.ctx, x.cancel = context.WithCancel(context.Background())
	x.first = firstBookmark{due: req.Bookmarks, at: max(now, req.After)}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended != nil {
		x.cancel()
		return nil, w.ended
	}
	w.count++
	x.startPumpLocked()
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
	x.cancel()
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
	delete(x.window.due, x)
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

// bookmarkLocked hands a live watch a bookmark, unless its reader has not taken
// the last batch yet.
func (x *Watcher) bookmarkLocked(now time.Time) bool {
	rev := max(x.cursor, x.window.dispatched)
	select {
	case x.events <- []*store.Event{{Type: store.EventBookmark, Revision: rev}}:
		x.served = now
		return true
	default:
		return false
	}
}

func (x *Watcher) pumpLocked() {
	x.leaveLiveLocked()
	x.startPumpLocked()
}

func (x *Watcher) startPumpLocked() {
	x.window.pumping[x] = struct{}{}
	x.window.pumps.Add(1)
	go x.pump(x.cursor, x.first)
}

// pump serves the watch from a cursor on until it is live or ended.
func (x *Watcher) pump(cursor uint64, first firstBookmark) {
	defer x.window.pumps.Done()
	for {
		events, upTo, err := x.next(cursor)
		if err != nil {
			x.finishPump(err)
			return
		}
		if len(events) > 0 && !x.send(events) {
			x.finishPump(nil)
			return
		}
		cursor = upTo
		if first.due && cursor >= first.at {
			if !x.send([]*store.Event{{Type: store.EventBookmark, Revision: cursor}}) {
				x.finishPump(nil)
				return
			}
			first.due = false
		}
		if len(events) == 0 && x.becomeLive(cursor, first) {
			return
		}
		x.moved(cursor)
	}
}

// next reads what follows the cursor, from the window where it reaches back
// far enough, else from history.
func (x *Watcher) next(cursor uint64) ([]*store.Event, uint64, error) {
	events, upTo, ok := x.window.ring.after(cursor, x.prefix)
	if ok {
		x.reachedWindow()
		return events, upTo, nil
	}
	if x.inWindow {
		return nil, 0, store.ErrSlow
	}
	return x.window.history(x.ctx, x.prefix, cursor)
}

func (x *Watcher) reachedWindow() {
	if x.inWindow { // Nobody writes it while a pump runs.
		return
	}
	x.window.mu.Lock()
	defer x.window.mu.Unlock()
	x.inWindow = true
}

func (x *Watcher) send(batch []*store.Event) bool {
	select {
	case x.events <- batch:
		return true
	case <-x.ctx.Done():
		return false
	}
}

// moved records the pump's progress for those who judge whether it is slow.
func (x *Watcher) moved(cursor uint64) {
	x.window.mu.Lock()
	defer x.window.mu.Unlock()
	x.cursor = cursor
}

// becomeLive hands the watch over to the dispatcher, where the pump has read as
// far as that has. It is true where the pump is done.
func (x *Watcher) becomeLive(cursor uint64, first firstBookmark) bool {
	w := x.window
	w.mu.Lock()
	defer w.mu.Unlock()
	x.cursor, x.first, x.served = cursor, first, time.Now()
	if x.isEnded {
		delete(w.pumping, x)
		close(x.events)
		return true
	}
	if !x.inWindow || cursor < w.dispatched {
		return false
	}
	delete(w.pumping, x)
	x.joinLiveLocked()
	if first.due {
		w.due[x] = struct{}{}
	}
	return true
}

func (x *Watcher) finishPump(err error) {
	w := x.window
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pumping, x)
	x.endLocked(err)
	close(x.events)
}
