package badger_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pintle-io/pintle/core/store"
	"github.com/pintle-io/pintle/core/store/badger"
)

const (
	crashDirEnv = "PINTLE_STORE_CRASH_DIR"
	crashName   = "PINTLE_STORE_CRASH_NAME" // of the child, unique in its store
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDirEnv); dir != "" {
		crashChild(dir, os.Getenv(crashName))
		return
	}
	os.Exit(m.Run())
}

// crashOptions make tables small, so that they are written out and compacted
// in the short life of a child.
func crashOptions(dir string) badger.Options {
	return badger.Options{
		Dir:          dir,
		Logger:       slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		MaxValueSize: crashMaxValue,
		TableSize:    1, // the least that MaxValueSize allows
		MinFree:      1,
		History:      badger.History{Age: -1},
		Window:       badger.Window{Events: 64},
	}
}

const crashMaxValue = 64 << 10

// line is what a child reports: one when it calls and one when it has the
// answer. The order of lines is real time: an answer that precedes a call was
// there before it.
type line struct {
	ID   string
	Kind string // open, call, answer, event
	// Of a call.
	Get   string              `json:",omitempty"`
	Write *store.WriteRequest `json:",omitempty"`
	Watch bool                `json:",omitempty"`
	After uint64              `json:",omitempty"`
	// Of an answer: the revision of what was written or found, or why not.
	Revision uint64 `json:",omitempty"`
	Refusal  string `json:",omitempty"`
	Claim    string `json:",omitempty"`
	Owner    string `json:",omitempty"`
	// Of an event.
	Key string `json:",omitempty"`
}

// crashChild is the process that is killed: it opens the store and has clients
// and watchers use it until its end.
func crashChild(dir, name string) {
	out := &reporter{w: bufio.NewWriter(os.Stdout)}
	s, err := badger.Open(crashOptions(dir))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx := context.Background()
	start, _ := s.Revision(ctx)
	out.report(line{Kind: "open", Revision: start})
	var wg sync.WaitGroup
	for c := range 8 {
		wg.Go(func() { crashClient(ctx, s, out, fmt.Sprintf("%s-%d", name, c)) })
	}
	for c := range 2 {
		wg.Go(func() { crashWatcher(ctx, s, out, fmt.Sprintf("%s-w%d", name, c), start) })
	}
	wg.Go(func() {
		for {
			time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
			if err := s.Compact(ctx, start-min(start, rand.Uint64N(20))); err != nil {
				fmt.Fprintln(os.Stderr, "compact:", err)
				os.Exit(1)
			}
		}
	})
	wg.Wait()
}

type reporter struct {
	mu sync.Mutex
	w  *bufio.Writer
}

func (r *reporter) report(l line) {
	b, err := json.Marshal(l)
	if err != nil {
		panic(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.w.Write(append(b, '\n'))
	r.w.Flush()
}

func crashClient(ctx context.Context, s store.Store, out *reporter, client string) {
	known := make(map[string]uint64)
	for i := 0; ; i++ {
		id := fmt.Sprintf("%s-%d", client, i)
		key := fmt.Sprintf("/k/%d", rand.IntN(30))
		if rand.IntN(5) == 0 {
			out.report(line{ID: id, Kind: "call", Get: key})
			e, err := s.Get(ctx, key)
			known[key] = e.Revision
			out.report(answer(id, e, err))
			continue
		}
		req := crashRequest(id, key, known[key])
		logged := req
		logged.Value = nil
		out.report(line{ID: id, Kind: "call", Write: &logged})
		e, err := s.Write(ctx, req)
		known[key] = e.Revision
		out.report(answer(id, e, err))
	}
}

func crashRequest(id, key string, known uint64) store.WriteRequest {
	req := store.WriteRequest{Key: key, Op: []store.Op{store.OpCreate, store.OpCreate, store.OpUpdate, store.OpUpdate, store.OpDelete}[rand.IntN(5)]}
	claim := func() string { return fmt.Sprintf("claim/%d", rand.IntN(12)) }
	if known != 0 && rand.IntN(3) == 0 {
		req.IfRevision = known
	}
	if req.Op == store.OpDelete {
		return req
	}
	size := []int{0, 100, 1000, 20_000, crashMaxValue - 100}[rand.IntN(5)]
	req.Value = append([]byte(id+" "), strings.Repeat("v", size)...)
	for range rand.IntN(3) {
		req.Take = append(req.Take, claim())
	}
	if req.Op == store.OpUpdate && rand.IntN(2) == 0 {
		req.Free = []string{claim()}
	}
	return req
}

func answer(id string, e store.Entry, err error) line {
	l := line{ID: id, Kind: "answer", Revision: e.Revision}
	var conflict *store.ConflictError
	var reserved *store.ReservedError
	switch {
	case err == nil:
	case errors.Is(err, store.ErrExists):
		l.Refusal = "exists"
	case errors.Is(err, store.ErrNotFound):
		l.Refusal = "not found"
	case errors.As(err, &conflict):
		l.Refusal, l.Revision = "conflict", conflict.Entry.Revision
	case errors.As(err, &reserved):
		l.Refusal, l.Claim, l.Owner = "reserved", reserved.Name, reserved.Owner
	default:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return l
}

// crashWatcher watches from random points, old ones too, and reports what it
// is given.
func crashWatcher(ctx context.Context, s store.Store, out *reporter, client string, oldest uint64) {
	for i := 0; ; i++ {
		now, _ := s.Revision(ctx)
		after := oldest + rand.Uint64N(now-oldest+1)
		id := fmt.Sprintf("%s-%d", client, i)
		out.report(line{ID: id, Kind: "call", Watch: true, After: after})
		w, err := s.Watch(ctx, store.WatchRequest{After: after})
		if err != nil {
			fmt.Fprintln(os.Stderr, "watch:", err)
			os.Exit(1)
		}
		n := 0
		for batch := range w.Events() {
			for _, e := range batch {
				out.report(line{ID: id, Kind: "event", Revision: e.Revision, Key: e.Key})
				n++
			}
			if n > 100 {
				break
			}
		}
		if n <= 100 && !errors.Is(w.Err(), store.ErrSlow) {
			fmt.Fprintln(os.Stderr, "watch ended:", w.Err())
			os.Exit(1)
		}
		w.Stop()
	}
}
