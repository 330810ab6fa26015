package badger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/pintle-io/pintle/core/store"
	"github.com/pintle-io/pintle/core/store/internal/saved"
)

// Save implements store.Store. Restore reads what it writes.
func (s *Store) Save(ctx context.Context, w io.Writer) (revision uint64, err error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	revision = s.visible.Load()
	snap, err := s.snapshot(ctx, revision, "")
	if err != nil {
		return 0, fmt.Errorf("saving the store in %s: %w", s.opts.Dir, err)
	}
	defer snap.close()
	out := saved.NewWriter(w, revision)
	err = snap.scan("", func(e kept) bool {
		return out.Entry(saved.Entry{Entry: e.Entry, Claims: e.claims})
	})
	if err := errors.Join(err, out.Close()); err != nil {
		return 0, fmt.Errorf("saving the store in %s: %w", s.opts.Dir, err)
	}
	return revision, nil
}

// Restore makes a store in an empty directory from what Save wrote, of this
// implementation or another, and returns its revision. History begins there:
// nothing older can be listed or watched. What it reads is checked as a whole
// before the directory becomes a store, so one that fails leaves none behind.
func Restore(ctx context.Context, opts Options, r io.Reader) (revision uint64, err error) {
	opts, err = opts.withDefaults()
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return 0, fmt.Errorf("restoring a store to %s: %w", opts.Dir, err)
	}
	lockFile, err := lock(opts.Dir)
	if err != nil {
		return 0, err
	}
	defer lockFile.Close()
	_, exists, err := readStamp(opts.Dir)
	if err != nil {
		return 0, err
	}
	if exists {
		return 0, fmt.Errorf("%s holds a store already: restore to an empty directory", opts.Dir)
	}
	if err := mustBeEmpty(opts.Dir); err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(filepath.Join(opts.Dir, dbName)))
		}
	}()
	if revision, err = fill(ctx, opts, r); err == nil {
		err = writeStamp(opts.Dir, revision)
	}
	if err != nil {
		return 0, fmt.Errorf("restoring a store to %s: %w", opts.Dir, err)
	}
	return revision, nil
}

// fill makes Badger's part of a store of a saved one. Closing Badger puts all of
// it on disk.
func fill(ctx context.Context, opts Options, r io.Reader) (revision uint64, err error) {
	in, err := saved.NewReader(r)
	if err != nil {
		return 0, err
	}
	if err := enoughToOpen(opts); err != nil {
		return 0, err
	}
	db, err := openBadger(opts)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	into := restorer{db: db, opts: opts, revision: in.Revision}
	defer into.discard()
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		e, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
		if err := into.entry(e); err != nil {
			return 0, err
		}
	}
	if in.Revision == 0 {
		return 0, nil
	}
	return in.Revision, into.finish()
}

// restorer writes entries in transactions, all under the one revision.
type restorer struct {
	db       *badgerdb.DB
	opts     Options
	revision uint64
	txn      *badgerdb.Txn
	size     int
}

func (x *restorer) entry(e saved.Entry) error {
	if len(e.Value) > x.opts.MaxValueSize {
		return fmt.Errorf("entry %s: %w: restore with a higher limit", e.Key, &store.TooLargeError{Size: len(e.Value), Limit: x.opts.MaxValueSize})
	}
	p := &plan{key: e.Key, revision: e.Revision}
	p.planValue(store.WriteRequest{Op: store.OpCreate, Value: e.Value},
		header{revision: e.Revision, created: e.Created, claims: e.Claims}, 0)
	for _, name := range e.Claims {
		p.put(claimKey(name), []byte(e.Key))
	}
	if x.size+p.size > x.opts.batchBytes() {
		free, err := freeBytes(x.opts.Dir)
		if err != nil {
			return err
		}
		if free < x.opts.MinFree/2 {
			return fmt.Errorf("%w: %d MiB are free in %s: make space there", store.ErrNoSpace, free>>20, x.opts.Dir)
		}
		if err := x.commit(); err != nil {
			return err
		}
	}
	for _, put := range p.puts {
		if err := x.put(put.Key, put.Value); err != nil {
			return err
		}
	}
	x.size += p.size
	return nil
}

func (x *restorer) put(key, value []byte) error {
	if x.txn == nil {
		x.txn = x.db.NewTransactionAt(x.revision, true)
	}
	return x.txn.Set(key, value)
}

func (x *restorer) commit() error {
	if x.txn == nil {
		return nil
	}
	err := x.txn.CommitAt(x.revision, nil)
	x.txn, x.size = nil, 0
	return err
}

func (x *restorer) discard() {
	if x.txn != nil {
		x.txn.Discard()
	}
}

// finish makes the revision the store's newest and its oldest.
func (x *restorer) finish() error {
	return errors.Join(
		x.put(batchKey(x.revision), appendBatch(nil, batchRecord{first: x.revision + 1})),
		x.put(compactedKey, appendCompaction(nil, compaction{revision: x.revision, version: x.revision})),
		x.commit(),
	)
}
