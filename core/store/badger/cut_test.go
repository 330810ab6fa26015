package badger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/core/store"
	"github.com/pintle-io/pintle/core/store/badger"
)

// TestCutLog cuts the write-ahead log at every byte of its last writes, as a
// power loss does that had not synced what follows. Each time the store has
// every write whose sync was done, and of the others none or the whole batch.
func TestCutLog(t *testing.T) {
	mount := memoryMount(t, "size=256m")
	opts := crashOptions(filepath.Join(mount, "whole"))
	s := mustOpen(t, opts)
	log := func() (path string, used []byte) {
		logs, err := filepath.Glob(filepath.Join(opts.Dir, "db", "*.mem"))
		if err != nil || len(logs) != 1 {
			t.Fatalf("%d write-ahead logs, want 1: %v", len(logs), err)
		}
		content, err := os.ReadFile(logs[0])
		if err != nil {
			t.Fatal(err)
		}
		return logs[0], bytes.TrimRight(content, "\x00")
	}

	// After each acknowledgement: how long the log is, and what must be there.
	type synced struct {
		length   int
		revision uint64
	}
	var points []synced
	mark := func() {
		_, used := log()
		rev, err := s.Revision(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		points = append(points, synced{len(used), rev})
	}
	write := func(req store.WriteRequest) {
		t.Helper()
		if _, err := s.Write(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		mark()
	}
	mustCreate(t, s, "/before", []byte("x"))
	mark()
	write(store.WriteRequest{Key: "/a", Op: store.OpCreate, Value: []byte("a"), Take: []string{"claim"}})
	write(store.WriteRequest{Key: "/a", Op: store.OpDelete})
	// Several writes, most of which share batches.
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			if _, err := s.Write(t.Context(), store.WriteRequest{Key: fmt.Sprintf("/%d", i), Op: store.OpCreate, Take: []string{fmt.Sprint(i)}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	mark()
	told := filepath.Join(mount, "told")
	copyDir(t, opts.Dir, told)
	path, used := log()
	image := readImage(t, opts.Dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// What the whole log tells, to compare each part of it with.
	s = mustOpen(t, crashOptions(told))
	events := newestEvents(t, s, 0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	rel, err := filepath.Rel(opts.Dir, path)
	if err != nil {
		t.Fatal(err)
	}
	const (
		sector   = 512
		anything = "anything"
	)
	n, size := 0, image[rel].size
	for cut := points[0].length; cut <= len(used)+1; cut++ {
		must := points[0]
		for _, p := range points {
			// The log ends in a checksum, whose last bytes may be zero.
			if p.length <= cut {
				must = p
			}
		}
		kept := used[:min(cut, len(used))]
		// What follows is not there, was never written, was written but for the
		// rest of the sector, or is anything.
		for what, log := range map[string]fileImage{
			"nothing": {kept, int64(len(kept))},
			"zeros":   {kept, size},
			"a hole": {
				slices.Concat(kept, make([]byte, sector-cut%sector), used[min(cut+sector-cut%sector, len(used)):]),
				size,
			},
			anything: {slices.Concat(kept, bytes.Repeat([]byte{0xa5}, 64)), size},
		} {
			if what != "zeros" && cut%4 != 0 {
				continue // Enough of these.
			}
			dir := filepath.Join(mount, "cut")
			image[rel] = log
			image.write(t, dir)
			err := checkCut(t, dir, must.revision, events)
			if what == anything && err != nil && strings.Contains(err.Error(), "is damaged") {
				err = nil // No power loss does that to a new file, so it may be refused.
			}
			if err != nil {
				t.Fatalf("cut at %d of %d, then %s: %v", cut, len(used), what, err)
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	t.Logf("%d logs, cut at each of %d bytes", n, len(used)-points[0].length)
}

// checkCut opens a store that must have come to a revision at least.
func checkCut(t *testing.T, dir string, atLeast uint64, events []*store.Event) error {
	s, err := badger.Open(crashOptions(dir))
	if err != nil {
		return err
	}
	defer s.Close()
	ctx := context.Background()
	rev, err := s.Revision(ctx)
	if err != nil {
		return err
	}
	if rev < atLeast {
		return fmt.Errorf("revision is %d, and %d was synced", rev, atLeast)
	}
	got := newestEvents(t, s, 0)
	for i, e := range got {
		if w := events[i]; e.Revision != w.Revision || e.Key != w.Key || e.Type != w.Type || !bytes.Equal(e.Value, w.Value) {
			return fmt.Errorf("revision %d is of %s, was of %s", e.Revision, e.Key, w.Key)
		}
	}
	if uint64(len(got)) != rev {
		return fmt.Errorf("%d events at revision %d", len(got), rev)
	}
	if err := s.Verify(ctx); err != nil {
		return err
	}
	// It goes on from there.
	e, err := s.Write(ctx, store.WriteRequest{Key: "/after", Op: store.OpCreate, Take: []string{"after"}})
	if err == nil && e.Revision != rev+1 {
		err = fmt.Errorf("revision %d after %d", e.Revision, rev)
	}
	return err
}

// dirImage is the content of a directory by path.
type dirImage map[string]fileImage

// fileImage is a file's content, which zeros follow up to its size.
type fileImage struct {
	content []byte
	size    int64
}

func readImage(t *testing.T, dir string) dirImage {
	t.Helper()
	image := make(dirImage)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		image[rel] = fileImage{bytes.TrimRight(content, "\x00"), int64(len(content))}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func (x dirImage) write(t *testing.T, dir string) {
	t.Helper()
	for rel, f := range x {
		path := filepath.Join(dir, rel)
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, f.content, 0o600), os.Truncate(path, f.size))
		if err != nil {
			t.Fatal(err)
		}
	}
}

// memoryMount is a file system in memory of the test's own.
func memoryMount(t *testing.T, options string) string {
	t.Helper()
	mount := t.TempDir()
	if err := unix.Mount("tmpfs", mount, "tmpfs", 0, options); err != nil {
		t.Fatalf("mounting a file system in memory: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return mount
}
