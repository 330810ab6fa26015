package badger

import (
	"errors"
	"fmt"

	badgerdb "github.com/dgraph-io/badger/v4"
)

// restart finds out how far the store had come and checks that nothing between
// there and the oldest revision that is kept is missing. was is what the
// directory said of it.
//
// A batch is one transaction of Badger, so it is there as a whole or not at
// all, and the record of the newest batch is the store's revision.
func (s *Store) restart(was stamp) (err error) {
	// Badger panics on some damage.
	defer func() {
		if r := recover(); r != nil {
			err = damaged(s.opts.Dir, fmt.Errorf("%v", r))
		}
	}()
	if err := s.db.VerifyChecksum(); err != nil {
		return damaged(s.opts.Dir, err)
	}
	compacted, err := s.readCompaction()
	if err != nil {
		return damaged(s.opts.Dir, err)
	}
	newest, err := s.checkBatches(compacted.revision)
	if err != nil {
		return damaged(s.opts.Dir, err)
	}
	if newest < was.Reached || newest < compacted.revision {
		return damaged(s.opts.Dir, fmt.Errorf("it ends at revision %d and had reached %d", newest, max(was.Reached, compacted.revision)))
	}
	if v := s.db.MaxVersion(); v > newest {
		return damaged(s.opts.Dir, fmt.Errorf("it holds entries of revision %d and no record of a batch after %d", v, newest))
	}
	s.visible.Store(newest)
	s.compacted.Store(compacted.revision)
	s.discard(compacted.version)
	return nil
}

func (s *Store) readCompaction() (compaction, error) {
	txn := s.db.NewTransactionAt(maxVersion, false)
	defer txn.Discard()
	item, err := txn.Get(compactedKey)
	if errors.Is(err, badgerdb.ErrKeyNotFound) {
		return compaction{}, nil
	}
	if err != nil {
		return compaction{}, fmt.Errorf("reading how far it was compacted: %w", err)
	}
	var c compaction
	err = item.Value(func(b []byte) error {
		c, err = decodeCompaction(b)
		return err
	})
	return c, err
}

// checkBatches returns the revision of the newest batch, having checked that
// the batches after a revision follow each other.
func (s *Store) checkBatches(after uint64) (newest uint64, err error) {
	txn := s.db.NewTransactionAt(maxVersion, false)
	defer txn.Discard()
	it := txn.NewIterator(badgerdb.IteratorOptions{Prefix: []byte{batchPrefix}})
	defer it.Close()
	var last uint64 // of the batch before, within the checked range
	for it.Seek(batchKey(after)); it.Valid(); it.Next() {
		records, err := readBatches(txn, it.Item().KeyCopy(nil), 0)
		if err != nil {
			return 0, err
		}
		for _, r := range records {
			switch {
			case r.last() <= after:
				newest = r.last()
				continue
			case last == 0 && r.first > after+1, last != 0 && r.first != last+1:
				return 0, fmt.Errorf("revisions before %d are missing", r.first)
			}
			last, newest = r.last(), r.last()
		}
	}
	return newest, nil
}
