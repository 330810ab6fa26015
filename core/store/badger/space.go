package badger

import (
	"bytes"
	"fmt"

	badgerdb "github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/core/store"
)

// Badger writes its files through mappings, and a mapped write to a full disk
// is a fault that ends the process. So the store stops before the disk is full,
// while there is room for everything that Badger has yet to write: MinFree, and
// what its two compactors may need at once.

// freeBytes is what is left on the store's file system for this process.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("looking for free space in %s: %w", dir, err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// enoughToOpen checks that there is room for what Badger writes while it opens:
// a new write-ahead log, and tables of those that a crash left behind.
func enoughToOpen(opts Options) error {
	free, err := freeBytes(opts.Dir)
	if err != nil {
		return err
	}
	if need := min(opts.MinFree/2, 3*opts.TableSize); free < need {
		return fmt.Errorf("opening the store: %w: %d MiB are free in %s, and %d are needed to open it: make space there",
			store.ErrNoSpace, free>>20, opts.Dir, need>>20)
	}
	return nil
}

// writable says why writes other than deletes, and why deletes, can't be taken
// now. Deletes, which make space in the end, are taken for longer.
func (s *Store) writable() (err, forDeletes error) {
	if failed := s.failed.Load(); failed != nil {
		return *failed, *failed
	}
	free, err := freeBytes(s.opts.Dir)
	if err != nil {
		return err, err
	}
	compaction := s.largestCompaction.Load()
	need := s.opts.MinFree + 2*compaction
	if free >= need {
		return nil, nil
	}
	full := fmt.Errorf("%w: %d MiB are free in %s, and %d are kept free: make space there",
		store.ErrNoSpace, free>>20, s.opts.Dir, need>>20)
	if free >= s.opts.MinFree/2+compaction {
		return full, nil
	}
	return full, full
}

// largestCompaction is the most that one compaction of these tables may write:
// the tables that wait at the top with the level that they go to, or one table
// with those below that its range covers.
func largestCompaction(tables []badgerdb.TableInfo) (largest int64) {
	levels := make(map[int][]badgerdb.TableInfo)
	for _, t := range tables {
		levels[t.Level] = append(levels[t.Level], t)
	}
	below := func(level int) []badgerdb.TableInfo {
		for next := level + 1; next < 16; next++ {
			if len(levels[next]) > 0 {
				return levels[next]
			}
		}
		return nil
	}
	for level, tables := range levels {
		if level == 0 {
			largest = max(largest, tableBytes(tables)+tableBytes(below(0)))
			continue
		}
		next := below(level)
		for _, t := range tables {
			size := int64(t.OnDiskSize)
			for _, n := range next {
				if bytes.Compare(userKey(n.Left), userKey(t.Right)) <= 0 && bytes.Compare(userKey(n.Right), userKey(t.Left)) >= 0 {
					size += int64(n.OnDiskSize)
				}
			}
			largest = max(largest, size)
		}
	}
	return largest
}

func tableBytes(tables []badgerdb.TableInfo) (sum int64) {
	for _, t := range tables {
		sum += int64(t.OnDiskSize)
	}
	return sum
}
