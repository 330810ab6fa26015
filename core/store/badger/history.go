package badger

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/pintle-io/pintle/core/store"
	"github.com/pintle-io/pintle/core/store/internal/record"
)

const (
	replayEvents = 512
	replayBytes  = 1 << 20
)

// readBatches returns the records of the batches kept under one key whose last
// revision is after a revision, oldest first.
func readBatches(txn *badgerdb.Txn, key []byte, after uint64) ([]batchRecord, error) {
	it := txn.NewKeyIterator(key, badgerdb.IteratorOptions{AllVersions: true})
	defer it.Close()
	var records []batchRecord
	for it.Rewind(); it.Valid(); it.Next() {
		item := it.Item()
		if item.Version() <= after && after != 0 || item.IsDeletedOrExpired() {
			break
		}
		var r batchRecord
		err := item.Value(func(b []byte) (err error) {
			r, err = decodeBatch(b)
			return err
		})
		if err == nil && r.last() != item.Version() {
			err = fmt.Errorf("%w: it ends at revision %d", record.ErrMalformed, r.last())
		}
		if err != nil {
			return nil, fmt.Errorf("reading the batch of revision %d: %w", item.Version(), err)
		}
		records = append(records, r)
	}
	slices.Reverse(records)
	return records, nil
}

// batchOf returns the record of the batch in which a revision lies.
func (s *Store) batchOf(revision uint64) (batchRecord, bool, error) {
	var found batchRecord
	err := s.batchesAfter(revision-1, func(r batchRecord) bool {
		found = r
		return false
	})
	return found, len(found.changes) > 0 && found.first <= revision, err
}

// batchesAfter calls fn with the records of batches that end after a revision,
// in order, until it is false.
func (s *Store) batchesAfter(revision uint64, fn func(batchRecord) bool) error {
	visible := s.visible.Load()
	txn := s.db.NewTransactionAt(visible, false)
	defer txn.Discard()
	last := batchKey(visible)
	for at := revision + 1; ; at = (at/batchesPerKey + 1) * batchesPerKey {
		key := batchKey(at)
		if bytes.Compare(key, last) > 0 {
			return nil
		}
		records, err := readBatches(txn, key, revision)
		if err != nil {
			return err
		}
		for _, r := range records {
			if !fn(r) {
				return nil
			}
		}
	}
}

// replay reads events from history: those after a revision to keys under a
// prefix, some at least, and the revision up to which that is complete.
func (s *Store) replay(ctx context.Context, prefix string, after uint64) (events []*store.Event, upTo uint64, err error) {
	if err := s.enter(); err != nil {
		return nil, 0, err
	}
	defer s.leave()
	upTo = s.visible.Load()
	compacted := func() error {
		if oldest := s.compacted.Load(); after < oldest {
			return &store.CompactedError{Requested: after, Oldest: oldest}
		}
		return nil
	}
	if err := compacted(); err != nil {
		return nil, 0, err
	}
	var size int
	var failed error
	err = s.batchesAfter(after, func(r batchRecord) bool {
		for i, c := range r.changes {
			revision := r.first + uint64(i)
			if revision <= after || !strings.HasPrefix(c.key, prefix) {
				continue
			}
			if failed = ctx.Err(); failed != nil {
				return false
			}
			e, err := s.replayChange(r, revision, c)
			if err != nil {
				failed = err
				return false
			}
			events = append(events, e)
			size += len(e.Key) + len(e.Value) + len(e.Previous)
			if len(events) == replayEvents || size > replayBytes {
				upTo = revision
				return false
			}
		}
		return true
	})
	// What was compacted away while it was read may be incomplete.
	if err := compacted(); err != nil {
		return nil, 0, err
	}
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, 0, err
	}
	return events, upTo, nil
}

func (s *Store) replayChange(r batchRecord, revision uint64, c change) (*store.Event, error) {
	e := &store.Event{Type: c.kind, Key: c.key, Revision: revision}
	read := func(version uint64) ([]byte, error) {
		txn := s.db.NewTransactionAt(version, false)
		defer txn.Discard()
		was, found, err := s.readEntry(txn, c.key)
		if err == nil && !found {
			err = fmt.Errorf("%w: no value of %s at revision %d", record.ErrMalformed, c.key, version)
		}
		return was.Value, err
	}
	var err error
	if c.kind != store.EventDeleted {
		if e.Value, err = read(r.last()); err != nil {
			return nil, err
		}
	}
	if c.kind != store.EventCreated {
		if e.Previous, err = read(r.first - 1); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, req store.WatchRequest) (store.Watcher, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	newest := s.visible.Load()
	if req.After > newest {
		return nil, &store.FutureError{Requested: req.After, Newest: newest}
	}
	if oldest := s.compacted.Load(); req.After < oldest {
		return nil, &store.CompactedError{Requested: req.After, Oldest: oldest}
	}
	w, err := s.window.Watch(ctx, req, newest)
	if err != nil {
		return nil, err
	}
	return w, nil
}
