package badger

import (
	"context"
	"slices"
	"strings"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/pintle-io/pintle/core/store"
)

// List implements store.Store.
func (s *Store) List(ctx context.Context, req store.ListRequest) (store.ListResponse, error) {
	if err := s.enter(); err != nil {
		return store.ListResponse{}, err
	}
	defer s.leave()
	for {
		revision := req.Revision
		if revision == 0 {
			revision = s.visible.Load()
		}
		res, err := s.listAt(ctx, req, revision)
		if _, compacted := err.(*store.CompactedError); compacted && req.Revision == 0 {
			continue // Writes and a compaction overtook the newest state.
		}
		return res, err
	}
}

func (s *Store) listAt(ctx context.Context, req store.ListRequest, revision uint64) (store.ListResponse, error) {
	snap, err := s.snapshot(ctx, revision, req.Prefix)
	if err != nil {
		return store.ListResponse{}, err
	}
	defer snap.close()

	res := store.ListResponse{Revision: revision}
	from := req.Prefix
	if req.After != "" {
		from = max(from, req.After+"\x00")
	}
	err = snap.scan(from, func(e kept) bool {
		if req.Limit > 0 && len(res.Entries) == req.Limit {
			res.More, res.Remaining = true, -1
			return false
		}
		res.Entries = append(res.Entries, e.Entry)
		return true
	})
	if err != nil {
		return store.ListResponse{}, err
	}
	return res, nil
}

// snapshot is the store's entries under a prefix, exactly at a revision.
type snapshot struct {
	s   *Store
	ctx context.Context
	txn *badgerdb.Txn
	it  *badgerdb.Iterator
	// later is what the batch that the revision lies in had changed by then:
	// Badger has only the whole batch or nothing of it. Sorted by key; an entry
	// with revision 0 was deleted.
	later []kept
}

// snapshot opens a snapshot; close releases it. What compaction takes away
// afterwards stays readable, since the iterator holds on to its tables.
func (s *Store) snapshot(ctx context.Context, revision uint64, prefix string) (*snapshot, error) {
	if newest := s.visible.Load(); revision > newest {
		return nil, &store.FutureError{Requested: revision, Newest: newest}
	}
	if oldest := s.compacted.Load(); revision < oldest {
		return nil, &store.CompactedError{Requested: revision, Oldest: oldest}
	}
	version, later, err := s.batchAt(ctx, revision, prefix)
	if err != nil {
		return nil, err
	}
	snap := &snapshot{s: s, ctx: ctx, later: later}
	snap.txn = s.db.NewTransactionAt(version, false)
	snap.it = snap.txn.NewIterator(badgerdb.IteratorOptions{Prefix: entryKey(prefix)})
	if s.discarded.Load() > version {
		snap.close()
		return nil, &store.CompactedError{Requested: revision, Oldest: s.compacted.Load()}
	}
	return snap, nil
}

func (x *snapshot) close() {
	x.it.Close()
	x.txn.Discard()
}

// scan calls fn with the entries from a key on, in key order, until it is false.
func (x *snapshot) scan(from string, fn func(kept) bool) error {
	later := x.later
	for len(later) > 0 && later[0].Key < from {
		later = later[1:]
	}
	x.it.Seek(entryKey(from))
	for n := 0; x.it.Valid() || len(later) > 0; n++ {
		if n%contextEvery == 0 && x.ctx.Err() != nil {
			return x.ctx.Err()
		}
		var key string
		if x.it.Valid() {
			key = string(x.it.Item().Key()[1:])
		}
		if len(later) > 0 && (!x.it.Valid() || later[0].Key <= key) {
			e := later[0]
			later = later[1:]
			if x.it.Valid() && e.Key == key {
				x.it.Next()
			}
			if e.Revision != 0 && !fn(e) {
				return nil
			}
			continue
		}
		e, err := x.s.decodeItem(x.txn, x.it.Item(), key)
		if err != nil && x.s.discarded.Load() > x.txn.ReadTs() {
			// The parts of a large value are not among what the iterator holds.
			return &store.CompactedError{Requested: x.txn.ReadTs(), Oldest: x.s.compacted.Load()}
		}
		if err != nil {
			return err
		}
		if !fn(e) {
			return nil
		}
		x.it.Next()
	}
	return nil
}

// batchAt returns the version of Badger that holds the store as it was at a
// revision but for the changes that it returns too, sorted by key: those of the
// batch in which the revision lies, up to it.
func (s *Store) batchAt(ctx context.Context, revision uint64, prefix string) (version uint64, later []kept, err error) {
	if revision == 0 || revision == s.visible.Load() {
		return revision, nil, nil
	}
	r, found, err := s.batchOf(revision)
	if err != nil {
		return 0, nil, err
	}
	if !found || r.last() == revision {
		// Not found is a revision that a restored store began with.
		return revision, nil, nil
	}
	txn := s.db.NewTransactionAt(r.last(), false)
	defer txn.Discard()
	for i, c := range r.changes {
		if r.first+uint64(i) > revision {
			break
		}
		if ctx.Err() != nil {
			return 0, nil, ctx.Err()
		}
		if !strings.HasPrefix(c.key, prefix) {
			continue
		}
		e := kept{Entry: store.Entry{Key: c.key}}
		if c.kind != store.EventDeleted {
			var found bool
			if e, found, err = s.readEntry(txn, c.key); err != nil {
				return 0, nil, err
			}
			if !found {
				return 0, nil, &store.CompactedError{Requested: revision, Oldest: s.compacted.Load()}
			}
		}
		later = append(later, e)
	}
	slices.SortFunc(later, func(a, b kept) int { return strings.Compare(a.Key, b.Key) })
	return r.first - 1, later, nil
}
