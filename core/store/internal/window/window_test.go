package window

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pintle-io/pintle/core/store"
)

const patience = time.Minute

// log is a history that keeps every event, as a window's owner does.
type log struct {
	mu     sync.Mutex
	events []*store.Event
	oldest uint64
}

func (l *log) history(_ context.Context, prefix string, after uint64) ([]*store.Event, uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if after < l.oldest {
		return nil, 0, &store.CompactedError{Requested: after, Oldest: l.oldest}
	}
	var found []*store.Event
	upTo := uint64(len(l.events))
	for _, e := range l.events[after:] {
		if strings.HasPrefix(e.Key, prefix) {
			found = append(found, e)
		}
		if len(found) == 10 {
			upTo = e.Revision
			break
		}
	}
	return found, upTo, nil
}

func (l *log) first(n int) []*store.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events[:n]
}

// write adds and publishes n events as one batch.
func (l *log) write(w *Window, n int) {
	l.mu.Lock()
	var batch []*store.Event
	for range n {
		e := &store.Event{Type: store.EventUpdated, Key: fmt.Sprintf("/%d/x", rand.IntN(3)), Revision: uint64(len(l.events)) + 1}
		l.events = append(l.events, e)
		batch = append(batch, e)
	}
	newest := uint64(len(l.events))
	l.mu.Unlock()
	w.Publish(batch, newest)
}

func newWindow(t *testing.T, limits Limits) (*Window, *log) {
	t.Helper()
	l := &log{}
	w := New(Config{Limits: limits, History: l.history, Bookmark: 50 * time.Millisecond})
	t.Cleanup(func() { w.Close(store.ErrClosed) })
	return w, l
}

func mustWatch(t *testing.T, w *Window, req store.WatchRequest, now uint64) *Watcher {
	t.Helper()
	x, err := w.Watch(t.Context(), req, now)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// next returns a watch's next batch, nil where it ended.
func next(t *testing.T, x *Watcher) []*store.Event {
	t.Helper()
	select {
	case batch := <-x.Events():
		return batch
	case <-time.After(patience):
		t.Fatal("nothing came")
		return nil
	}
}

// waitFor polls until what is guarded by the window's lock is so.
func waitFor(t *testing.T, w *Window, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		w.mu.Lock()
		done := ok()
		w.mu.Unlock()
		if done {
			return
		}
	}
	t.Fatalf("never came: %s", what)
}

// TestEveryEventOnce has readers of all paces, from history, the window and
// live, while batches of all sizes are published.
func TestEveryEventOnce(t *testing.T) {
	w, l := newWindow(t, Limits{Events: 2000, Bytes: 1 << 30})
	l.write(w, 3000) // More than the window holds.
	const total = 6000
	var wg sync.WaitGroup
	for r := range 40 {
		prefix := []string{"", "/1/", "/1/x", "/none"}[r%4]
		after := uint64(rand.IntN(3001))
		x := mustWatch(t, w, store.WatchRequest{Prefix: prefix, After: after, Bookmarks: true}, 3000)
		wg.Go(func() {
			last, seen := after, 0
			for {
				for batch := range x.Events() {
					for _, e := range batch {
						if e.Type == store.EventBookmark {
							if e.Revision < last {
								t.Errorf("bookmark %d after revision %d", e.Revision, last)
							}
							last = max(last, e.Revision)
							continue
						}
						if e.Revision <= last || !strings.HasPrefix(e.Key, prefix) {
							t.Errorf("revision %d of %s after %d", e.Revision, e.Key, last)
						}
						last = e.Revision
						seen++
					}
					if rand.IntN(20) == 0 {
						time.Sleep(time.Millisecond) // A reader with something else to do.
					}
					if last == total {
						break
					}
				}
				if last == total {
					break
				}
				// Overtaken, it goes on from where it was.
				if !errors.Is(x.Err(), store.ErrSlow) {
					t.Errorf("watch ended at %d: %v", last, x.Err())
					return
				}
				var err error
				if x, err = w.Watch(t.Context(), store.WatchRequest{Prefix: prefix, After: last, Bookmarks: true}, last); err != nil {
					t.Error(err)
					return
				}
			}
			x.Stop()
			want := 0
			for _, e := range l.first(total)[after:] {
				if strings.HasPrefix(e.Key, prefix) {
					want++
				}
			}
			if seen != want {
				t.Errorf("a watch of %q after %d saw %d events, want %d", prefix, after, seen, want)
			}
		})
	}
	for n := 3000; n < total; {
		batch := min(1+rand.IntN(40), total-n)
		l.write(w, batch)
		n += batch
		time.Sleep(200 * time.Microsecond)
	}
	wg.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.live)+len(w.pumping)+len(w.due)+w.count != 0 {
		t.Errorf("left over: %d live, %d pumping, %d due, %d counted", len(w.live), len(w.pumping), len(w.due), w.count)
	}
}

func TestSlowReaderEnds(t *testing.T) {
	w, l := newWindow(t, Limits{Events: 100, Bytes: 1 << 30})
	slow := mustWatch(t, w, store.WatchRequest{}, 0)
	quick := mustWatch(t, w, store.WatchRequest{Prefix: "/none"}, 0)
	waitFor(t, w, "both watches live", func() bool { return slow.isLive && quick.isLive })
	for i := range 50 {
		l.write(w, 10)
		waitFor(t, w, "dispatch", func() bool { return w.dispatched == uint64(10*(i+1)) })
	}
	waitFor(t, w, "the slow watch ended", func() bool { return slow.isEnded })
	var last uint64
	for batch := range slow.Events() {
		for _, e := range batch {
			if e.Revision != last+1 {
				t.Fatalf("revision %d after %d", e.Revision, last)
			}
			last = e.Revision
		}
	}
	if last == 500 || !errors.Is(slow.Err(), store.ErrSlow) {
		t.Errorf("watch ended at %d with %v", last, slow.Err())
	}
	if watchers, ended := w.Stats(); watchers != 1 || ended != 1 {
		t.Errorf("%d watches run and %d were slow", watchers, ended)
	}
}

// TestReaderThatComesBack has a reader fall behind within the window: it gets
// everything and is live again.
func TestReaderThatComesBack(t *testing.T) {
	w, l := newWindow(t, Limits{Events: 1000, Bytes: 1 << 30})
	x := mustWatch(t, w, store.WatchRequest{}, 0)
	waitFor(t, w, "the watch live", func() bool { return x.isLive })
	for i := range 20 {
		l.write(w, 5)
		waitFor(t, w, "dispatch", func() bool { return w.dispatched == uint64(5*(i+1)) })
	}
	waitFor(t, w, "the watch behind", func() bool { return !x.isLive })
	for last := uint64(0); last < 100; {
		for _, e := range next(t, x) {
			if e.Revision != last+1 {
				t.Fatalf("revision %d after %d", e.Revision, last)
			}
			last = e.Revision
		}
	}
	waitFor(t, w, "the watch live again", func() bool { return x.isLive })
}

// TestDispatcherBehind publishes more than the ring holds before the dispatcher
// has a look: watches read on in history.
func TestDispatcherBehind(t *testing.T) {
	w, l := newWindow(t, Limits{Events: 10, Bytes: 1 << 30})
	x := mustWatch(t, w, store.WatchRequest{}, 0)
	waitFor(t, w, "the watch live", func() bool { return x.isLive })
	w.mu.Lock()
	for range 10 {
		l.write(w, 10)
	}
	w.mu.Unlock()
	for last := uint64(0); last < 100; {
		batch := next(t, x)
		if batch == nil {
			t.Fatalf("watch ended at %d: %v", last, x.Err())
		}
		for _, e := range batch {
			if e.Revision != last+1 {
				t.Fatalf("revision %d after %d", e.Revision, last)
			}
			last = e.Revision
		}
	}
}

func TestBookmarksOfAnIdleWatch(t *testing.T) {
	w, l := newWindow(t, Limits{Events: 1000, Bytes: 1 << 30})
	x := mustWatch(t, w, store.WatchRequest{Prefix: "/none", Bookmarks: true}, 0)
	if e := next(t, x)[0]; e.Type != store.EventBookmark || e.Revision != 0 {
		t.Fatalf("first is %+v", e)
	}
	l.write(w, 7)
	for {
		e := next(t, x)[0]
		if e.Type != store.EventBookmark {
			t.Fatalf("event is %+v", e)
		}
		if e.Revision == 7 {
			return
		}
	}
}

// TestFirstBookmarkWaitsForTheWindow has a watch begin in the moment in which
// the store has a revision that the window was not told of.
func TestFirstBookmarkWaitsForTheWindow(t *testing.T) {
	w, l := newWindow(t, Limits{Events: 1000, Bytes: 1 << 30})
	x := mustWatch(t, w, store.WatchRequest{Prefix: "/none", Bookmarks: true}, 3)
	waitFor(t, w, "the watch live", func() bool { return x.isLive })
	l.write(w, 3)
	if e := next(t, x)[0]; e.Type != store.EventBookmark || e.Revision != 3 {
		t.Errorf("first is %+v", e)
	}
}

func TestSkip(t *testing.T) {
	w, l := newWindow(t, Limits{Events: 1000, Bytes: 1 << 30})
	x := mustWatch(t, w, store.WatchRequest{}, 0)
	waitFor(t, w, "the watch live", func() bool { return x.isLive })
	l.mu.Lock()
	for i := range 10 {
		l.events = append(l.events, &store.Event{Type: store.EventUpdated, Key: "/0/x", Revision: uint64(i) + 1})
	}
	l.oldest = 10
	l.mu.Unlock()
	w.Skip(10)
	var compacted *store.CompactedError
	if batch := next(t, x); batch != nil || !errors.As(x.Err(), &compacted) {
		t.Errorf("watch goes on with %v, %v", batch, x.Err())
	}
	again := mustWatch(t, w, store.WatchRequest{After: 10}, 10)
	l.write(w, 1)
	if e := next(t, again)[0]; e.Revision != 11 {
		t.Errorf("revision %d, want 11", e.Revision)
	}
}

func TestRingBounds(t *testing.T) {
	r := &ring{limits: Limits{Events: 10, Bytes: 5 * (eventOverhead + 100)}}
	for rev := uint64(1); rev <= 100; rev++ {
		r.add([]*store.Event{{Key: strings.Repeat("k", 50), Value: make([]byte, 50), Revision: rev}}, rev)
		if r.n > 5 || r.bytes > r.limits.Bytes {
			t.Fatalf("%d events of %d bytes", r.n, r.bytes)
		}
	}
	if floor, newest := r.span(); floor != 95 || newest != 100 {
		t.Errorf("the ring holds what is after %d up to %d", floor, newest)
	}
	if _, _, ok := r.after(94, ""); ok {
		t.Error("what left the ring is there")
	}
	if events, upTo, ok := r.after(97, ""); !ok || len(events) != 3 || upTo != 100 {
		t.Errorf("%d events up to %d, %v", len(events), upTo, ok)
	}
	// One that is larger than the ring is kept alone.
	r.add([]*store.Event{{Value: make([]byte, 1<<20), Revision: 101}}, 101)
	if r.n != 1 {
		t.Errorf("%d events beside a large one", r.n-1)
	}
}
