package badger

import (
	"context"
	"fmt"
	"slices"

	badgerdb "github.com/dgraph-io/badger/v4"
)

// Verify reads a whole store and returns the first contradiction in it: between
// entries and their claims, in the records of batches, in a checksum. It costs
// a read of everything; tests and operators in doubt use it.
func (s *Store) Verify(ctx context.Context) error {
	if err := s.db.VerifyChecksum(); err != nil {
		return fmt.Errorf("verifying checksums: %w", err)
	}
	return s.newest(ctx, func(txn *badgerdb.Txn) error {
		if err := s.verifyEntries(ctx, txn); err != nil {
			return err
		}
		if err := s.verifyClaims(txn); err != nil {
			return err
		}
		newest, err := s.checkBatches(s.compacted.Load())
		if err != nil {
			return err
		}
		if visible := txn.ReadTs(); newest < visible {
			return fmt.Errorf("batches end at revision %d before %d", newest, visible)
		}
		return nil
	})
}

// verifyEntries checks that what entries claim is theirs.
func (s *Store) verifyEntries(ctx context.Context, txn *badgerdb.Txn) error {
	it := txn.NewIterator(badgerdb.IteratorOptions{Prefix: []byte{entryPrefix}})
	defer it.Close()
	revisions := make(map[uint64]string)
	for it.Rewind(); it.Valid(); it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		key := string(it.Item().Key()[1:])
		e, err := s.decodeItem(txn, it.Item(), key)
		if err != nil {
			return err
		}
		if other := revisions[e.Revision]; other != "" {
			return fmt.Errorf("%s and %s share revision %d", key, other, e.Revision)
		}
		revisions[e.Revision] = key
		if e.Revision > it.Item().Version() || e.Created > e.Revision || e.Created == 0 {
			return fmt.Errorf("%s has revision %d, created %d, in a batch that ended at %d", key, e.Revision, e.Created, it.Item().Version())
		}
		for _, name := range e.claims {
			if owner, err := readClaim(txn, name); err != nil || owner != key {
				return fmt.Errorf("%s holds %s, which is held by %q: %v", key, name, owner, err)
			}
		}
	}
	return nil
}

// verifyClaims checks that what is claimed is claimed by an entry.
func (s *Store) verifyClaims(txn *badgerdb.Txn) error {
	it := txn.NewIterator(badgerdb.IteratorOptions{Prefix: []byte{claimPrefix}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		name := string(it.Item().Key()[1:])
		owner, err := it.Item().ValueCopy(nil)
		if err != nil {
			return fmt.Errorf("reading the claim %s: %w", name, err)
		}
		e, found, err := s.readEntry(txn, string(owner))
		if err != nil {
			return err
		}
		if !found || !slices.Contains(e.claims, name) {
			return fmt.Errorf("%s is held by %s, which does not claim it", name, owner)
		}
	}
	return nil
}
