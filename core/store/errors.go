package store

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound means that the key, or the claim, is not there.
	ErrNotFound = errors.New("not found")
	// ErrExists means that the key of a create is there already.
	ErrExists = errors.New("already exists")
	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("store is closed")
	// ErrSlow ends a watch whose reader fell behind the window of recent
	// events. The reader may watch again from its last revision.
	ErrSlow = errors.New("watcher is too slow: it fell behind the window of recent events")
	// ErrInvalid is wrapped by the error of a request that no store can serve,
	// such as a write without a key.
	ErrInvalid = errors.New("invalid request")
	// ErrNoSpace is wrapped by the error of a write that was refused because
	// the disk is full. Nothing changed; writes succeed again once there is
	// space, and reads and watches are served all the time.
	ErrNoSpace = errors.New("no space left for writes")
	// ErrFailed is wrapped by the error of every write after the disk failed
	// one: the store can't tell what is on disk before it is opened again.
	// Reads and watches are still served.
	ErrFailed = errors.New("store failed and takes no writes until it is opened again")
	// ErrDamaged is wrapped by the error of opening a store whose files are not
	// as they were left.
	ErrDamaged = errors.New("damaged")
	// ErrUnknownOutcome is wrapped by the error of a write whose caller stopped
	// waiting: the change may or may not be made.
	ErrUnknownOutcome = errors.New("outcome of the write is unknown")
)

// ConflictError means that an entry is not at the revision that a write
// expected.
type ConflictError struct {
	// Entry as it is.
	Entry Entry
	// Expected is the write's IfRevision.
	Expected uint64
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s is at revision %d, not %d", e.Entry.Key, e.Entry.Revision, e.Expected)
}

// ReservedError means that a claim is held by another key.
type ReservedError struct{ Name, Owner string }

func (e *ReservedError) Error() string {
	return fmt.Sprintf("%s is taken by %s", e.Name, e.Owner)
}

// CompactedError means that the history at a revision is gone.
type CompactedError struct{ Requested, Oldest uint64 }

func (e *CompactedError) Error() string {
	return fmt.Sprintf("revision %d was compacted away: the oldest kept is %d", e.Requested, e.Oldest)
}

// FutureError means that a revision was not reached yet.
type FutureError struct{ Requested, Newest uint64 }

func (e *FutureError) Error() string {
	return fmt.Sprintf("revision %d is in the future: the newest is %d", e.Requested, e.Newest)
}

// TooLargeError means that a value is over the limit of one entry.
type TooLargeError struct{ Size, Limit int }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("value of %d bytes is over the limit of %d", e.Size, e.Limit)
}
