package badger

import (
	"errors"
	"fmt"
	"time"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/pintle-io/pintle/core/store"
)

// commitLoop is the one writer of Badger. It takes what waits, up to a batch,
// commits it as one transaction with one sync, and answers; while it does, the
// next batch gathers in the queue.
func (s *Store) commitLoop() {
	defer s.owned.Done()
	defer close(s.stopped)
	var deferred []*write // by the batch before: first in line
	for {
		if len(deferred) == 0 {
			select {
			case w := <-s.writes:
				deferred = append(deferred, w)
			case c := <-s.compactions:
				c.result <- s.doCompact(c)
				continue
			case <-s.closing:
				s.drain(nil)
				return
			}
		}
		select {
		case c := <-s.compactions:
			c.result <- s.doCompact(c)
		case <-s.closing:
			s.drain(deferred)
			return
		default:
		}
		deferred = s.commitOne(deferred)
	}
}

// drain commits what was taken before the store closed. Write takes nothing
// more by then, or answers ErrClosed itself.
func (s *Store) drain(deferred []*write) {
	for {
		for len(deferred) > 0 {
			deferred = s.commitOne(deferred)
		}
		select {
		case w := <-s.writes:
			deferred = append(deferred, w)
		default:
			return
		}
	}
}

// commitOne gathers and commits one batch, beginning with the writes that an
// earlier one had no room for, and returns those that this one has none for.
func (s *Store) commitOne(first []*write) (deferred []*write) {
	b := newBatch(s)
	defer b.txn.Discard()
	for _, w := range first {
		if !b.add(w) {
			deferred = append(deferred, w)
		}
	}
gather:
	for len(deferred) < queueLength {
		select {
		case w := <-s.writes:
			if !b.add(w) {
				deferred = append(deferred, w)
			}
		default:
			break gather
		}
	}
	b.commit()
	return deferred
}

// commit writes the batch, makes it visible, answers its writes and publishes
// its events, in this order.
func (b *batch) commit() {
	if len(b.writes) == 0 {
		b.answer(nil)
		return
	}
	start := time.Now()
	if err := b.put(); err != nil {
		b.answer(b.s.commitFailed(err))
		return
	}
	b.s.metrics.committed(len(b.writes), time.Since(start))
	last := b.record.last()
	b.s.visible.Store(last)
	b.answer(nil)
	b.s.window.Publish(b.events, last)
	unmarked := b.s.written.note(last, b.size)
	if h := b.s.opts.History; h.Age >= 0 && unmarked > h.Bytes/historyMarks {
		select {
		case b.s.maintainSoon <- struct{}{}:
		default: // It is asked for already.
		}
	}
}

func (b *batch) put() error {
	last := b.record.last()
	txn := b.s.db.NewTransactionAt(b.base, true)
	defer txn.Discard()
	b.puts = append(b.puts, badgerdb.NewEntry(batchKey(last), appendBatch(nil, b.record)))
	for _, p := range b.puts {
		var err error
		if p.Value == nil {
			err = txn.Delete(p.Key)
		} else {
			err = txn.SetEntry(p)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errRefused, err)
		}
	}
	return b.s.commit(txn, last)
}

func (b *batch) answer(err error) {
	for i, w := range b.writes {
		if err != nil {
			w.finish(store.Entry{}, err)
		} else {
			w.finish(b.entries[i], nil)
		}
	}
	for _, l := range b.late {
		if err != nil {
			l.err = err
		}
		l.write.finish(store.Entry{}, l.err)
	}
}

// errRefused is wrapped by the failure of a batch of which nothing was written.
var errRefused = errors.New("batch refused")

// commitFailed says what a failed batch means for its writers and for the store.
func (s *Store) commitFailed(err error) error {
	if errors.Is(err, errRefused) || errors.Is(err, badgerdb.ErrTxnTooBig) || errors.Is(err, badgerdb.ErrBlockedWrites) {
		s.log.Error("store: a batch of writes was refused", "dir", s.opts.Dir, "error", err)
		return fmt.Errorf("writing to the store in %s: %w", s.opts.Dir, err)
	}
	// Some of the batch may be in the write-ahead log. It would come back under
	// revisions that later batches use, so there can be none.
	failure := fmt.Errorf("store in %s: %w: %w", s.opts.Dir, store.ErrFailed, err)
	s.failed.Store(&failure)
	s.log.Error("store: writing failed; no more writes are taken until the store is opened again", "dir", s.opts.Dir, "error", err)
	return fmt.Errorf("%w: %w", store.ErrUnknownOutcome, failure)
}
