package badger

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	badgerdb "github.com/dgraph-io/badger/v4"
)

// What was deleted leaves a tombstone and the versions below it. Badger drops
// them when it compacts a table into the deepest level, if they are older than
// the history that is kept; one that got there younger stays until something in
// its table's range is written again, and for names that only grow, such as
// those of events, that is never.
//
// So the store looks for tables that hold nothing but history that was given
// up, with tombstones in it, and writes something without meaning into the
// range of a few of them at a time. That sinks with the other writes and takes
// the garbage along. It costs a rewrite of the table, and the store rewrites
// them no faster than others are written, since nothing sinks without writes.

const (
	// minStale is the least that tombstones in a table take for it to be worth
	// a rewrite: a few of them, more than sweeping leaves behind itself.
	minStale = 512
	// sweepShare is which part of the tables that want it is swept at once.
	sweepShare = 4
	sweepLeast = 8
)

// sweep has a few tables rewritten that hold garbage. The committer calls it.
func (s *Store) sweep() error {
	if err, _ := s.writable(); err != nil {
		return nil // There is no room for a rewrite.
	}
	keys := s.sweeper.next(s.db.Tables(), s.discarded.Load())
	if len(keys) == 0 {
		return nil
	}
	visible := s.visible.Load()
	from := s.db.NewTransactionAt(visible, false)
	defer from.Discard()
	to := s.db.NewTransactionAt(visible, true)
	defer to.Discard()
	size := 0
	for _, key := range keys {
		n, err := touch(from, to, key)
		if err != nil {
			return fmt.Errorf("sweeping: %w: %w", errRefused, err)
		}
		if size += n; size > s.opts.batchBytes()/2 {
			break
		}
	}
	return s.commit(to, visible)
}

// touch writes what is at a key once more: nothing most of the time.
func touch(from, to *badgerdb.Txn, key []byte) (size int, err error) {
	item, err := from.Get(key)
	if errors.Is(err, badgerdb.ErrKeyNotFound) {
		return len(key), to.Delete(key)
	}
	if err != nil {
		return 0, err
	}
	value, err := item.ValueCopy(nil)
	if err != nil {
		return 0, err
	}
	return len(key) + len(value), to.Set(key, value)
}

// sweeper remembers which tables were touched and are not rewritten yet. Only
// the committer uses it.
type sweeper struct {
	touched map[uint64]struct{}
}

// next returns a key in the range of each table to be swept next.
func (x *sweeper) next(tables []badgerdb.TableInfo, discarded uint64) (keys [][]byte) {
	var want []badgerdb.TableInfo
	touched := make(map[uint64]struct{})
	for _, t := range tables {
		if t.Level == 0 || t.StaleDataSize < minStale || t.MaxVersion > discarded {
			continue
		}
		if _, ok := x.touched[t.ID]; ok {
			touched[t.ID] = struct{}{}
			continue
		}
		want = append(want, t)
	}
	slices.SortFunc(want, func(a, b badgerdb.TableInfo) int { return cmp.Compare(b.StaleDataSize, a.StaleDataSize) })
	for _, t := range want[:min(len(want), max(sweepLeast, len(want)/sweepShare))] {
		if key := within(userKey(t.Left), userKey(t.Right)); key != nil {
			keys = append(keys, key)
		}
		touched[t.ID] = struct{}{}
	}
	x.touched = touched
	return keys
}

// userKey takes the version off a key of Badger's.
func userKey(key []byte) []byte { return key[:len(key)-8] }

// within returns the shortest prefix of right that is after left.
func within(left, right []byte) []byte {
	for n := 1; n <= len(right); n++ {
		if bytes.Compare(right[:n], left) > 0 {
			return slices.Clone(right[:n])
		}
	}
	return slices.Clone(right)
}
