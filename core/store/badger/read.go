package badger

import (
	"context"
	"errors"
	"fmt"
	"math"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/pintle-io/pintle/core/store"
)

// maxVersion reads the newest of everything; used where nobody writes.
const maxVersion = math.MaxUint64

// contextEvery is how many entries are read between looks at the context.
const contextEvery = 256

// kept is an entry as it is on disk.
type kept struct {
	store.Entry
	parts  int
	claims []string
}

// readEntry reads an entry as of the transaction's version.
func (s *Store) readEntry(txn *badgerdb.Txn, key string) (kept, bool, error) {
	item, err := txn.Get(entryKey(key))
	if errors.Is(err, badgerdb.ErrKeyNotFound) {
		return kept{}, false, nil
	}
	if err != nil {
		return kept{}, false, fmt.Errorf("reading %s: %w", key, err)
	}
	e, err := s.decodeItem(txn, item, key)
	return e, err == nil, err
}

// decodeItem reads the entry that an item of Badger holds.
func (s *Store) decodeItem(txn *badgerdb.Txn, item *badgerdb.Item, key string) (kept, error) {
	record, err := item.ValueCopy(nil)
	if err != nil {
		return kept{}, fmt.Errorf("reading %s: %w", key, err)
	}
	h, value, err := decodeHeader(record)
	if err != nil {
		return kept{}, fmt.Errorf("reading %s: %w", key, err)
	}
	if h.parts > 0 {
		if value, err = readParts(txn, key, h.parts); err != nil {
			return kept{}, err
		}
	}
	return kept{
		Entry:  store.Entry{Key: key, Value: value, Revision: h.revision, Created: h.created},
		parts:  h.parts,
		claims: h.claims,
	}, nil
}

func readParts(txn *badgerdb.Txn, key string, n int) ([]byte, error) {
	value := make([]byte, 0, n*partSize)
	for i := range n {
		item, err := txn.Get(partKey(key, i))
		if err == nil {
			err = item.Value(func(b []byte) error {
				value = append(value, b...)
				return nil
			})
		}
		if err != nil {
			return nil, fmt.Errorf("reading part %d of %s: %w", i, key, err)
		}
	}
	return value, nil
}

// readClaim returns who holds a claim, "" for nobody.
func readClaim(txn *badgerdb.Txn, name string) (string, error) {
	item, err := txn.Get(claimKey(name))
	if errors.Is(err, badgerdb.ErrKeyNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the claim %s: %w", name, err)
	}
	owner, err := item.ValueCopy(nil)
	if err != nil {
		return "", fmt.Errorf("reading the claim %s: %w", name, err)
	}
	return string(owner), nil
}

// newest calls fn with a transaction that reads the newest state, again where
// that was compacted away in the middle.
func (s *Store) newest(ctx context.Context, fn func(txn *badgerdb.Txn) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		version := s.visible.Load()
		txn := s.db.NewTransactionAt(version, false)
		err := fn(txn)
		txn.Discard()
		if s.discarded.Load() <= version {
			return err
		}
	}
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) (store.Entry, error) {
	var e kept
	err := s.newest(ctx, func(txn *badgerdb.Txn) error {
		var found bool
		var err error
		if e, found, err = s.readEntry(txn, key); err == nil && !found {
			err = store.ErrNotFound
		}
		return err
	})
	if err != nil {
		return store.Entry{}, err
	}
	return e.Entry, nil
}

// Reservation implements store.Store.
func (s *Store) Reservation(ctx context.Context, name string) (owner string, err error) {
	err = s.newest(ctx, func(txn *badgerdb.Txn) error {
		if owner, err = readClaim(txn, name); err == nil && owner == "" {
			err = store.ErrNotFound
		}
		return err
	})
	return owner, err
}

// Reservations implements store.Store.
func (s *Store) Reservations(ctx context.Context, prefix string) (map[string]string, error) {
	var owners map[string]string
	err := s.newest(ctx, func(txn *badgerdb.Txn) error {
		owners = make(map[string]string)
		it := txn.NewIterator(badgerdb.IteratorOptions{Prefix: claimKey(prefix)})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if len(owners)%contextEvery == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			owner, err := it.Item().ValueCopy(nil)
			if err != nil {
				return fmt.Errorf("reading claims: %w", err)
			}
			owners[string(it.Item().Key()[1:])] = string(owner)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return owners, nil
}
