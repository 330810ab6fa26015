package badger_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pintle-io/pintle/core/store"
	"github.com/pintle-io/pintle/core/store/badger"
)

// wantOpenError checks that a directory is refused, and what is said of it.
func wantOpenError(t *testing.T, opts badger.Options, says ...string) {
	t.Helper()
	s, err := badger.Open(opts)
	if err == nil {
		s.Close()
		t.Fatal("it opened")
	}
	for _, word := range says {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not say %q: %v", word, err)
		}
	}
}

func TestOpenTwice(t *testing.T) {
	opts := options(t)
	s := mustOpen(t, opts)
	defer s.Close()
	again := opts
	again.Metrics = nil
	wantOpenError(t, again, opts.Dir, "in use by process", fmt.Sprint(os.Getpid()))
	if _, err := badger.Restore(t.Context(), again, strings.NewReader("")); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("restoring to an open store: %v", err)
	}
}

func TestOpenWhatIsNoStore(t *testing.T) {
	opts := options(t)
	writeFile(t, filepath.Join(opts.Dir, "photo.jpg"), "x")
	wantOpenError(t, opts, "photo.jpg", "empty directory")
	if _, err := badger.Restore(t.Context(), opts, strings.NewReader("")); err == nil || !strings.Contains(err.Error(), "photo.jpg") {
		t.Errorf("restoring to a directory with a photo: %v", err)
	}
}

func TestOpenNewerFormat(t *testing.T) {
	opts := options(t)
	if err := mustOpen(t, opts).Close(); err != nil {
		t.Fatal(err)
	}
	stamp := filepath.Join(opts.Dir, "STORE")
	writeFile(t, stamp, `{"product":"pintle-store","format":99}`)
	wantOpenError(t, opts, "format 99", "newer release")
	writeFile(t, stamp, "not json")
	wantOpenError(t, opts, "damaged", "STORE")
}

// TestOpenDamaged takes away or changes each file of a store that was closed.
func TestOpenDamaged(t *testing.T) {
	whole := options(t)
	s := mustOpen(t, whole)
	for i := range 200 {
		mustCreate(t, s, fmt.Sprintf("/k/%d", i), bytes.Repeat([]byte{byte(i)}, 4096))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(whole.Dir, "db", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("no tables: %v", err)
	}
	damage := map[string]func(path string) error{
		"missing": os.Remove,
		"empty":   func(path string) error { return os.Truncate(path, 0) },
		"cut": func(path string) error {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			return os.Truncate(path, info.Size()/2)
		},
		"flipped bit": func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b[len(b)/2] ^= 1
			return os.WriteFile(path, b, 0o600)
		},
	}
	for what, do := range damage {
		for _, file := range []string{"db/" + filepath.Base(tables[0]), "db/MANIFEST"} {
			t.Run(what+" "+filepath.Ext(file)+filepath.Base(file), func(t *testing.T) {
				opts := options(t)
				opts.Dir = filepath.Join(opts.Dir, "copy")
				copyDir(t, whole.Dir, opts.Dir)
				if err := do(filepath.Join(opts.Dir, file)); err != nil {
					t.Fatal(err)
				}
				wantOpenError(t, opts, opts.Dir, "damaged", "restore")
			})
		}
	}
}

// TestOpenWithoutStamp takes away what says that the directory is a store.
func TestOpenWithoutStamp(t *testing.T) {
	opts := options(t)
	s := mustOpen(t, opts)
	mustCreate(t, s, "/a", nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	stamp := filepath.Join(opts.Dir, "STORE")
	kept, err := os.ReadFile(stamp)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(stamp); err != nil {
		t.Fatal(err)
	}
	wantOpenError(t, opts, opts.Dir, "STORE")
	writeFile(t, stamp, string(kept))
	s = mustOpen(t, opts)
	defer s.Close()
	if _, err := s.Get(t.Context(), "/a"); err != nil {
		t.Error(err)
	}
}

func TestInspect(t *testing.T) {
	opts := options(t)
	if _, err := badger.Inspect(opts.Dir); err == nil || !strings.Contains(err.Error(), "no store") {
		t.Errorf("error is %v", err)
	}
	s := mustOpen(t, opts)
	mustCreate(t, s, "/a", nil)
	if _, err := badger.Inspect(opts.Dir); err != nil {
		t.Errorf("of an open store: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := badger.Inspect(opts.Dir)
	if err != nil || info.Reached != 1 || info.Format != 1 || info.Bytes == 0 {
		t.Errorf("info is %+v, %v", info, err)
	}
}

// TestOpenLostWrites has a store forget acknowledged writes as a whole, which
// only the note of how far it had come can tell.
func TestOpenLostWrites(t *testing.T) {
	opts := options(t)
	s := mustOpen(t, opts)
	mustCreate(t, s, "/a", nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(t.TempDir(), "old")
	copyDir(t, filepath.Join(opts.Dir, "db"), old)
	s = mustOpen(t, opts)
	mustCreate(t, s, "/b", nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(opts.Dir, "db")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(old, filepath.Join(opts.Dir, "db")); err != nil {
		t.Fatal(err)
	}
	wantOpenError(t, opts, "damaged", "ends at revision 1 and had reached 2")
}

func TestRestoreRefuses(t *testing.T) {
	s := mustOpen(t, options(t))
	defer s.Close()
	for i := range 20 {
		mustCreate(t, s, fmt.Sprintf("/k/%d", i), []byte("value"))
	}
	var saved bytes.Buffer
	if _, err := s.Save(t.Context(), &saved); err != nil {
		t.Fatal(err)
	}
	good := saved.Bytes()
	refuse := func(name string, b []byte) {
		t.Helper()
		opts := options(t)
		if _, err := badger.Restore(t.Context(), opts, bytes.NewReader(b)); err == nil {
			t.Errorf("%s: restored", name)
		}
		// What failed can be done again at the same place.
		if _, err := badger.Restore(t.Context(), opts, bytes.NewReader(good)); err != nil {
			t.Errorf("%s: restoring after it: %v", name, err)
		}
		if _, err := badger.Restore(t.Context(), opts, bytes.NewReader(good)); err == nil || !strings.Contains(err.Error(), "already") {
			t.Errorf("restoring over a store: %v", err)
		}
	}
	refuse("nothing", nil)
	refuse("something else", []byte("PK\x03\x04 something else, which is long enough to be read"))
	for _, n := range []int{30, len(good) / 2, len(good) - 40, len(good) - 1} {
		refuse(fmt.Sprintf("cut at %d of %d", n, len(good)), good[:n])
		flipped := bytes.Clone(good)
		flipped[n] ^= 4
		refuse(fmt.Sprintf("flipped at %d of %d", n, len(good)), flipped)
	}
}

// TestDiskFull fills a file system under a store: writes are refused while it
// is full, what was acknowledged stays, reads go on, and so do writes once
// there is space.
func TestDiskFull(t *testing.T) {
	mount := memoryMount(t, "size=96m")
	opts := crashOptions(filepath.Join(mount, "store"))
	opts.MinFree = 0 // the default
	opts.History = badger.History{Bytes: 1 << 20}
	s := mustOpen(t, opts)
	value := bytes.Repeat([]byte("x"), 32<<10)
	var acknowledged []string
	fill := func() (err error) {
		for i := 0; ; i++ {
			key := fmt.Sprintf("/k/%06d", len(acknowledged))
			if _, err := s.Write(t.Context(), store.WriteRequest{Key: key, Op: store.OpCreate, Value: value}); err != nil {
				return err
			}
			acknowledged = append(acknowledged, key)
		}
	}
	check := func() {
		t.Helper()
		list, err := s.List(t.Context(), store.ListRequest{})
		if err != nil || len(list.Entries) != len(acknowledged) {
			t.Fatalf("%d entries, want %d: %v", len(list.Entries), len(acknowledged), err)
		}
		verify(t, s)
	}

	// By the store itself, many writers at once.
	var wg sync.WaitGroup
	for c := range 8 {
		wg.Go(func() {
			for i := range 20 {
				key := fmt.Sprintf("/early/%d/%d", c, i)
				if _, err := s.Write(t.Context(), store.WriteRequest{Key: key, Op: store.OpCreate}); err != nil {
					t.Errorf("Write %s: %v", key, err)
				}
			}
		})
	}
	wg.Wait()
	for c := range 8 {
		for i := range 20 {
			acknowledged = append(acknowledged, fmt.Sprintf("/early/%d/%d", c, i))
		}
	}
	if err := fill(); !errors.Is(err, store.ErrNoSpace) || !strings.Contains(err.Error(), mount) {
		t.Fatalf("error is %v, want %v", err, store.ErrNoSpace)
	}
	check()
	// Deletes still work, and are what makes space.
	for range len(acknowledged) / 2 {
		last := acknowledged[len(acknowledged)-1]
		_, err := s.Write(t.Context(), store.WriteRequest{Key: last, Op: store.OpDelete})
		for deadline := time.Now().Add(time.Minute); errors.Is(err, store.ErrNoSpace) && time.Now().Before(deadline); {
			// A compaction has what it needs now, and gives it back.
			time.Sleep(10 * time.Millisecond)
			_, err = s.Write(t.Context(), store.WriteRequest{Key: last, Op: store.OpDelete})
		}
		if err != nil {
			t.Fatalf("deleting %s: %v", last, err)
		}
		acknowledged = acknowledged[:len(acknowledged)-1]
	}
	check()

	// By another, to the last byte, once Badger has written what it had begun.
	waitUntilIdle(t)
	ballast := filepath.Join(mount, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := f.Write(make([]byte, 1<<20)); err != nil {
			break
		}
	}
	f.Close()
	for range 3 {
		_, err := s.Write(t.Context(), store.WriteRequest{Key: "/x", Op: store.OpCreate})
		if !errors.Is(err, store.ErrNoSpace) {
			t.Errorf("error is %v, want %v", err, store.ErrNoSpace)
		}
		_, err = s.Write(t.Context(), store.WriteRequest{Key: acknowledged[0], Op: store.OpDelete})
		if !errors.Is(err, store.ErrNoSpace) {
			t.Errorf("error of a delete is %v, want %v", err, store.ErrNoSpace)
		}
	}
	check()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := fill(); !errors.Is(err, store.ErrNoSpace) {
		t.Fatalf("error is %v, want %v", err, store.ErrNoSpace)
	}
	check()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, opts)
	check()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	// A start on a full disk is refused in words.
	if err := os.WriteFile(ballast, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err = os.OpenFile(ballast, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for {
		if _, err := f.Write(make([]byte, 1<<20)); err != nil {
			break
		}
	}
	if _, err := badger.Open(opts); !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("opening on a full disk: %v, want %v", err, store.ErrNoSpace)
	}
}

// waitUntilIdle waits until Badger has neither written out nor compacted tables
// for a while.
func waitUntilIdle(t *testing.T) {
	t.Helper()
	stacks := make([]byte, 8<<20)
	idle := 0
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		all := stacks[:runtime.Stack(stacks, true)]
		if bytes.Contains(all, []byte("runCompactDef")) || bytes.Contains(all, []byte("handleMemTableFlush")) {
			idle = 0
		}
		if idle++; idle == 40 {
			return
		}
	}
	t.Fatal("Badger did not come to rest")
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
