package badger

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/pintle-io/pintle/core/store"
)

// queueLength is how many writes wait for the committer; more block in Write.
const queueLength = 1024

// write is a WriteRequest on its way through the committer.
type write struct {
	req store.WriteRequest
	// state goes from waiting to taken (the committer's) or withdrawn (the
	// caller's, whose context ended).
	state atomic.Int32
	done  chan struct{}
	// Set before done is closed.
	entry store.Entry
	err   error
}

const (
	waiting int32 = iota
	taken
	withdrawn
)

func (w *write) finish(e store.Entry, err error) {
	w.entry, w.err = e, err
	close(w.done)
}

// Write implements store.Store.
func (s *Store) Write(ctx context.Context, req store.WriteRequest) (store.Entry, error) {
	if err := s.checkWrite(req); err != nil {
		return store.Entry{}, err
	}
	if err := s.enter(); err != nil {
		return store.Entry{}, err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return store.Entry{}, err
	}
	w := &write{req: req, done: make(chan struct{})}
	select {
	case s.writes <- w:
	case <-ctx.Done():
		return store.Entry{}, ctx.Err()
	case <-s.closing:
		return store.Entry{}, store.ErrClosed
	}
	select {
	case <-w.done:
		return w.entry, w.err
	case <-s.stopped:
		if w.state.CompareAndSwap(waiting, withdrawn) {
			return store.Entry{}, store.ErrClosed
		}
		<-w.done
		return w.entry, w.err
	case <-ctx.Done():
	}
	if w.state.CompareAndSwap(waiting, withdrawn) {
		return store.Entry{}, ctx.Err()
	}
	select {
	case <-w.done: // It was decided meanwhile.
		return w.entry, w.err
	default:
	}
	return store.Entry{}, fmt.Errorf("writing %s: %w: %w", req.Key, store.ErrUnknownOutcome, ctx.Err())
}

func (s *Store) checkWrite(req store.WriteRequest) error {
	switch {
	case req.Key == "":
		return fmt.Errorf("%w: a write needs a key", store.ErrInvalid)
	case len(req.Key) > maxKeySize:
		return fmt.Errorf("%w: key of %d bytes is over the limit of %d", store.ErrInvalid, len(req.Key), maxKeySize)
	case req.Op < store.OpCreate || req.Op > store.OpDelete:
		return fmt.Errorf("%w: writing %s: unknown operation %d", store.ErrInvalid, req.Key, req.Op)
	case len(req.Value) > s.opts.MaxValueSize:
		return &store.TooLargeError{Size: len(req.Value), Limit: s.opts.MaxValueSize}
	case req.Op == store.OpDelete && len(req.Take) > 0:
		return fmt.Errorf("%w: deleting %s can't take claims", store.ErrInvalid, req.Key)
	}
	for _, name := range req.Take {
		if name == "" || len(name) > maxClaimSize {
			return fmt.Errorf("%w: writing %s: the name of a claim has 1 to %d bytes, not %d", store.ErrInvalid, req.Key, maxClaimSize, len(name))
		}
	}
	return nil
}

func errTooManyClaims(key string, n int) error {
	return fmt.Errorf("%w: writing %s: it would hold %d claims, over the limit of %d", store.ErrInvalid, key, n, maxClaims)
}
