package badger_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/core/store"
)

// TestAcknowledgedIsSynced asks the kernel, after each acknowledgement, whether
// anything of the write-ahead logs is not on disk yet. It goes through several
// logs, since Badger begins a new one where one is full.
func TestAcknowledgedIsSynced(t *testing.T) {
	opts := crashOptions(t.TempDir())
	s := mustOpen(t, opts)
	defer s.Close()
	seen := make(map[string]bool)
	check := func() {
		t.Helper()
		logs, err := filepath.Glob(filepath.Join(opts.Dir, "db", "*.mem"))
		if err != nil {
			t.Fatal(err)
		}
		for _, log := range logs {
			seen[log] = true
			if n := unsyncedPages(t, log); n > 0 {
				t.Fatalf("%d pages of %s are not on disk after an acknowledgement", n, log)
			}
		}
	}
	value := bytes.Repeat([]byte("x"), crashMaxValue)
	for i := range 200 {
		mustCreate(t, s, fmt.Sprintf("/k/%d", i), value[:1+i*crashMaxValue/200])
		check()
	}
	if err := s.Compact(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
	check()
	if len(seen) < 2 {
		t.Errorf("%d logs were used: too few to tell", len(seen))
	}
	// Without anyone writing after them, batches of many are on disk too.
	for range 20 {
		var wg sync.WaitGroup
		for i := range 30 {
			wg.Go(func() {
				if _, err := s.Write(t.Context(), store.WriteRequest{Key: fmt.Sprintf("/k/%d", i), Op: store.OpUpdate, Value: value[:100]}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		check()
	}
}

// unsyncedPages is how many pages of a file are dirty or being written, by
// cachestat(2).
func unsyncedPages(t *testing.T, path string) uint64 {
	t.Helper()
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return 0 // It was written out as a table meanwhile.
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all struct{ offset, length uint64 } // a length of 0 is to the end
	var stat struct{ cache, dirty, writeback, evicted, recentlyEvicted uint64 }
	_, _, errno := unix.Syscall6(unix.SYS_CACHESTAT, f.Fd(), uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&stat)), 0, 0, 0)
	if errno == unix.ENOSYS {
		t.Skip("the kernel is older than 6.5 and has no cachestat")
	}
	if errno != 0 {
		t.Fatalf("cachestat %s: %v", path, errno)
	}
	return stat.dirty + stat.writeback
}
