package badger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/pintle-io/pintle/core/store"
	"github.com/pintle-io/pintle/core/store/internal/window"
)

var _ store.Store = (*Store)(nil)

// Store is a store.Store on Badger.
type Store struct {
	opts Options
	log  *slog.Logger
	db   *badgerdb.DB
	lock *os.File
	logs *logSync // the committer's

	window  *window.Window
	metrics *metrics

	// visible is the revision of the newest write that is on disk, and so the
	// version that reads of the newest state use.
	visible atomic.Uint64
	// discarded is the version of Badger below which superseded versions may
	// be gone. It is raised before Badger is told, so that a reader who finds
	// it no higher than its own version after reading has read all there is.
	discarded atomic.Uint64
	// compacted is the oldest revision that can be listed or watched from.
	compacted atomic.Uint64
	// failed holds why no write is taken any more.
	failed atomic.Pointer[error]
	// largestCompaction is how much one of Badger's may write, in bytes, as of
	// the last maintenance.
	largestCompaction atomic.Int64
	// written tells which history is due to be compacted.
	written      written
	maintainSoon chan struct{} // holds one: much was written
	sweeper      sweeper       // the committer's
	stamped      uint64        // the maintainer's: revision in the stamp

	writes      chan *write
	compactions chan *compactRequest

	// closing ends the goroutines; inUse is held by every method that is in
	// Badger, so that Close waits for them.
	closing   chan struct{}
	stopped   chan struct{} // closed when the committer is done
	owned     sync.WaitGroup
	closeOnce sync.Once
	closeErr  error
	useMu     sync.RWMutex
	isClosed  bool
	inUse     sync.WaitGroup
}

// enter keeps the store open until leave.
func (s *Store) enter() error {
	s.useMu.RLock()
	defer s.useMu.RUnlock()
	if s.isClosed {
		return store.ErrClosed
	}
	s.inUse.Add(1)
	return nil
}

func (s *Store) leave() { s.inUse.Done() }

// Revision implements store.Store.
func (s *Store) Revision(context.Context) (uint64, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	return s.visible.Load(), nil
}

// Close implements store.Store. Writes that were taken are finished first.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.useMu.Lock()
		s.isClosed = true
		s.useMu.Unlock()

		close(s.closing)
		s.window.Close(store.ErrClosed)
		s.owned.Wait()
		s.inUse.Wait()
		s.metrics.unregister()
		s.closeErr = s.shut()
	})
	return s.closeErr
}

// shut closes what Open opened.
func (s *Store) shut() error {
	err := errors.Join(s.logs.close(), s.db.Close())
	if err == nil && s.failed.Load() == nil {
		err = writeStamp(s.opts.Dir, s.visible.Load())
	}
	if lockErr := s.lock.Close(); err == nil {
		err = lockErr
	}
	if err != nil {
		return fmt.Errorf("closing the store in %s: %w", s.opts.Dir, err)
	}
	return nil
}
