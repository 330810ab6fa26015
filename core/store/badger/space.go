package badger

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/core/store"
)

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
// now.
//
// Badger writes its files through mappings, and a mapped write to a full disk
// is a fault that ends the process. So the store stops before the disk is full,
// while there is room for everything that Badger has yet to write.
func (s *Store) writable() (err, forDeletes error) {
	if failed := s.failed.Load(); failed != nil {
		return *failed, *failed
	}
	free, err := freeBytes(s.opts.Dir)
	if err != nil {
		return err, err
	}
	if free >= s.opts.MinFree {
		return nil, nil
	}
	full := fmt.Errorf("%w: %d MiB are free in %s, and %d are kept free: make space there",
		store.ErrNoSpace, free>>20, s.opts.Dir, s.opts.MinFree>>20)
	if free >= s.opts.MinFree/2 {
		return full, nil
	}
	return full, full
}
