package badger

import (
	"context"
	"fmt"
	"sync"
	"time"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/pintle-io/pintle/core/store"
)

// maintainEvery is how often history is compacted by itself.
const maintainEvery = 5 * time.Second

// stampEvery is how often the directory's stamp is brought up to date.
const stampEvery = time.Minute

// staleKeysAtOnce bounds how many keys of batch records one compaction deletes;
// the next one goes on.
const staleKeysAtOnce = 1000

type compactRequest struct {
	revision uint64
	sweep    bool
	result   chan error
}

// doCompact serves a request in the committer, the one writer of Badger, so
// that no write reads while what it reads goes.
func (s *Store) doCompact(c *compactRequest) error {
	if err := s.compact(c.revision); err != nil || !c.sweep {
		return err
	}
	if err := s.sweep(); err != nil {
		return s.commitFailed(err)
	}
	return nil
}

// Compact implements store.Store.
func (s *Store) Compact(ctx context.Context, revision uint64) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if newest := s.visible.Load(); revision > newest {
		return &store.FutureError{Requested: revision, Newest: newest}
	}
	c := &compactRequest{revision: revision, result: make(chan error, 1)}
	select {
	case s.compactions <- c:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return store.ErrClosed
	}
	select {
	case err := <-c.result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// compact gives up what is older than a revision.
func (s *Store) compact(revision uint64) error {
	if revision <= s.compacted.Load() {
		return nil
	}
	if _, err := s.writable(); err != nil {
		return err
	}
	c := compaction{revision: revision, version: revision}
	r, found, err := s.batchOf(revision)
	if err != nil {
		return fmt.Errorf("compacting to revision %d: %w", revision, err)
	}
	if found && r.last() != revision {
		c.version = r.first - 1
	}
	if err := s.putCompaction(c); err != nil {
		return s.commitFailed(err)
	}
	s.compacted.Store(c.revision)
	s.discard(c.version)
	s.window.Compacted(c.revision)
	return nil
}

// discard lets Badger drop what was superseded at or below a version.
func (s *Store) discard(version uint64) {
	s.discarded.Store(version)
	s.db.SetDiscardTs(version)
}

// putCompaction records a compaction, and deletes the keys of batch records
// that it makes useless, under the newest revision: it is no change of its own.
func (s *Store) putCompaction(c compaction) error {
	visible := s.visible.Load()
	txn := s.db.NewTransactionAt(visible, true)
	defer txn.Discard()
	if err := txn.Set(compactedKey, appendCompaction(nil, c)); err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	for _, key := range s.staleBatchKeys(visible, c.revision) {
		if err := txn.Delete(key); err != nil {
			return fmt.Errorf("%w: %w", errRefused, err)
		}
	}
	return s.commit(txn, visible)
}

func (s *Store) staleBatchKeys(version, revision uint64) (keys [][]byte) {
	txn := s.db.NewTransactionAt(version, false)
	defer txn.Discard()
	it := txn.NewIterator(badgerdb.IteratorOptions{Prefix: []byte{batchPrefix}})
	defer it.Close()
	end := string(batchKey(revision))
	for it.Rewind(); it.Valid() && len(keys) < staleKeysAtOnce; it.Next() {
		if string(it.Item().Key()) >= end {
			break
		}
		keys = append(keys, it.Item().KeyCopy(nil))
	}
	return keys
}

// historyMarks is in how many steps history moves when it is full: this much of
// it more than its bound may be there.
const historyMarks = 8

// written remembers when which revision was reached after how many bytes, once
// a maintenance, to tell which history is due to go. It is as long as there are
// maintenances in History.Age, and historyMarks.
type written struct {
	mu       sync.Mutex
	revision uint64
	bytes    int64
	marks    []mark
}

type mark struct {
	at       time.Time
	revision uint64
	bytes    int64
}

// note adds a batch, and says how much was written since the last mark.
func (w *written) note(revision uint64, bytes int) (unmarked int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.revision = revision
	w.bytes += int64(bytes)
	if n := len(w.marks); n > 0 {
		return w.bytes - w.marks[n-1].bytes
	}
	return w.bytes
}

// due marks the present, and returns the revision up to which history is over
// its bounds, 0 for none.
func (w *written) due(now time.Time, h History) (revision uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.marks); n == 0 || w.marks[n-1].revision != w.revision {
		w.marks = append(w.marks, mark{now, w.revision, w.bytes})
	}
	for len(w.marks) > 1 && (now.Sub(w.marks[0].at) > h.Age || w.bytes-w.marks[0].bytes > h.Bytes) {
		revision = w.marks[0].revision
		w.marks = w.marks[1:]
	}
	if len(w.marks) == 1 && now.Sub(w.marks[0].at) > h.Age {
		revision = w.marks[0].revision
	}
	return revision
}

// maintain does what the store does by itself, until the store closes: every
// maintainEvery, and earlier where much was written.
func (s *Store) maintain() {
	defer s.owned.Done()
	ticker := time.NewTicker(maintainEvery)
	defer ticker.Stop()
	stamped := time.Now()
	for {
		select {
		case <-s.closing:
			return
		case <-s.maintainSoon:
		case <-ticker.C:
		}
		now := time.Now()
		s.maintainOnce(now)
		if now.Sub(stamped) >= stampEvery {
			s.stampReached()
			stamped = now
		}
	}
}

// maintainOnce compacts history that is over its bounds, and has Badger drop
// what is left of it.
func (s *Store) maintainOnce(now time.Time) {
	s.largestCompaction.Store(largestCompaction(s.db.Tables()))
	c := &compactRequest{sweep: true, result: make(chan error, 1)}
	if s.opts.History.Age >= 0 {
		c.revision = s.written.due(now, s.opts.History)
	}
	select {
	case s.compactions <- c:
	case <-s.closing:
		return
	}
	if err := <-c.result; err != nil {
		s.log.Warn("store: compacting history failed; it is tried again", "dir", s.opts.Dir, "revision", c.revision, "error", err)
	}
}

// stampReached notes how far the store came, so that it would not open in
// silence with less.
func (s *Store) stampReached() {
	reached := s.visible.Load()
	if reached == s.stamped || s.failed.Load() != nil {
		return
	}
	if err := writeStamp(s.opts.Dir, reached); err != nil {
		s.log.Warn("store: noting the revision failed; it is tried again", "dir", s.opts.Dir, "error", err)
		return
	}
	s.stamped = reached
}
