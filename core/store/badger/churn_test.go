package badger_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pintle-io/pintle/core/store"
	"github.com/pintle-io/pintle/core/store/badger"
)

// churnEnv is how many short-lived objects TestChurn makes; 10 million is what
// the store is meant to bear.
const churnEnv = "PINTLE_CHURN"

// TestChurn creates and deletes many objects over a small live set and checks
// that what is left of them is bounded by what is live and by the history that
// is kept, not by how many there were.
func TestChurn(t *testing.T) {
	objects := 50_000
	if v := os.Getenv(churnEnv); v != "" {
		var err error
		if objects, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	const (
		live      = 2_000
		valueSize = 2 << 10
		clients   = 64
		history   = 4 << 20
		table     = 4 << 20
	)
	opts := options(t)
	opts.TableSize, opts.MaxValueSize = table, crashMaxValue
	opts.History = badger.History{Age: time.Minute, Bytes: history}
	s := mustOpen(t, opts)
	defer s.Close()
	value := bytes.Repeat([]byte("x"), valueSize)
	for i := range live {
		mustCreate(t, s, fmt.Sprintf("/live/%06d", i), value)
	}

	// Names of both kinds: those that sort where everything is, as pods', and
	// those that only ever grow, as events'.
	var counter atomic.Int64
	name := func(client, n int) string {
		if n%2 == 0 {
			return fmt.Sprintf("/live/%06d-%08x", rand.IntN(live), rand.Uint32())
		}
		return fmt.Sprintf("/event/%012d-%d", counter.Add(1), client)
	}
	var peak int64
	const rounds = 6
	for round := range rounds {
		var wg sync.WaitGroup
		for c := range clients {
			wg.Go(func() {
				for i := range objects / clients / rounds {
					key := name(c, round*objects+i)
					if _, err := s.Write(t.Context(), store.WriteRequest{Key: key, Op: store.OpCreate, Value: value}); err != nil {
						t.Errorf("creating %s: %v", key, err)
						return
					}
					if _, err := s.Write(t.Context(), store.WriteRequest{Key: key, Op: store.OpDelete}); err != nil {
						t.Errorf("deleting %s: %v", key, err)
						return
					}
				}
			})
		}
		wg.Wait()
		badger.Maintain(s)
		disk := diskUse(t, opts.Dir)
		peak = max(peak, disk)
		start := time.Now()
		list, err := s.List(t.Context(), store.ListRequest{})
		if err != nil || len(list.Entries) != live {
			t.Fatalf("%d entries are left, want %d: %v", len(list.Entries), live, err)
		}
		took := time.Since(start)
		runtime.GC()
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		t.Logf("round %d: %d objects so far, disk %d MiB, list %v, heap %d MiB",
			round, (round+1)*objects/rounds, disk>>20, took.Round(time.Microsecond), mem.HeapAlloc>>20)
	}
	// Beside what is live and what is history there are tables that wait to be
	// compacted.
	if bound := int64(2*live*valueSize + 2*history + 10*table); peak > bound {
		t.Errorf("the store took %d MiB of disk, more than %d, for %d MiB that live", peak>>20, bound>>20, live*valueSize>>20)
	}
}

func mustCreate(t *testing.T, s store.Store, key string, value []byte) {
	t.Helper()
	if _, err := s.Write(t.Context(), store.WriteRequest{Key: key, Op: store.OpCreate, Value: value}); err != nil {
		t.Fatalf("creating %s: %v", key, err)
	}
}

// diskUse is what a directory's files take on disk.
func diskUse(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if os.IsNotExist(err) {
			return nil // A compaction removed it.
		}
		if err == nil {
			bytes += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}
