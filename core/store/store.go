package store

import (
	"context"
	"io"
)

// Store is a watchable, versioned set of entries with conditional writes.
//
// One revision counter serves the whole store: every successful Write takes
// the next revision and no two writes share one. A revision is what the API
// shows as resourceVersion.
//
// All methods are safe for concurrent use. Every method returns ErrClosed once
// Close was called. Values handed out are shared and must not be changed.
type Store interface {
	// Get returns the newest entry at key, or ErrNotFound. It is strictly
	// serializable: it sees every write acknowledged before it was called.
	Get(ctx context.Context, key string) (Entry, error)

	// List returns entries in key order from one snapshot.
	List(ctx context.Context, req ListRequest) (ListResponse, error)

	// Write applies one change under its preconditions and returns once the
	// change is on disk. The entry it returns carries the new revision; for a
	// delete it is the entry as it was, with the revision of the deletion.
	//
	// Errors: ErrNotFound, ErrExists, *ConflictError, *ReservedError,
	// *TooLargeError, ErrInvalid, ErrNoSpace, ErrFailed, ErrClosed, the
	// context's.
	//
	// When the context ends while the change is under way the outcome is
	// unknown to the caller and the error says so (ErrUnknownOutcome).
	Write(ctx context.Context, req WriteRequest) (Entry, error)

	// Watch delivers every change to keys under a prefix after a revision, in
	// revision order, each exactly once, until its context ends, it is slow
	// (ErrSlow) or the store closes. A revision that was compacted away is
	// answered with *CompactedError, one in the future with *FutureError.
	Watch(ctx context.Context, req WatchRequest) (Watcher, error)

	// Reservation returns the key of the entry that holds the named claim, or
	// ErrNotFound.
	Reservation(ctx context.Context, name string) (owner string, err error)

	// Reservations lists claims whose names begin with prefix, by name.
	Reservations(ctx context.Context, prefix string) (map[string]string, error)

	// Revision returns the revision of the newest acknowledged write, 0 for an
	// empty store, as seen by a strictly serializable read.
	Revision(ctx context.Context) (uint64, error)

	// Compact gives up history older than rev: lists and watches from before
	// it fail with *CompactedError afterwards. The newest value of a live key
	// is never lost.
	Compact(ctx context.Context, rev uint64) error

	// Save writes a consistent snapshot of the store at one revision.
	// Restore is a function of the implementation, since it makes a store.
	Save(ctx context.Context, w io.Writer) (revision uint64, err error)

	Close() error
}

// Entry is one key with its value at a revision.
type Entry struct {
	Key   string
	Value []byte
	// Revision is that of the write which made this value.
	Revision uint64
	// Created is the revision of the write which created the key.
	Created uint64
}

// WriteRequest is one change to one key, with the claims that it takes and
// frees in the same transaction.
type WriteRequest struct {
	Key string
	Op  Op
	// Value is the new value of a create or update. Unused by Delete.
	Value []byte
	// IfRevision, when not 0, must be the entry's revision, else the answer is
	// a *ConflictError with the entry as it is. Ignored by Create.
	IfRevision uint64
	// Take names claims that must be free or the key's own already; Free names
	// claims to give back, those that the key does not hold are passed over.
	// A Delete frees all that the key holds.
	Take, Free []string
}

// Op is what a write does.
type Op uint8

const (
	// OpCreate fails with ErrExists where the key is there.
	OpCreate Op = iota + 1
	// OpUpdate fails with ErrNotFound where the key is not there.
	OpUpdate
	// OpDelete fails with ErrNotFound where the key is not there.
	OpDelete
)

// ListRequest asks for the entries under a prefix.
type ListRequest struct {
	// Prefix that keys begin with.
	Prefix string
	// After is the last key of the page before; empty for the first page.
	After string
	// Limit is the largest number of entries; 0 for all.
	Limit int
	// Revision is the snapshot to read: 0 for the newest. A revision that was
	// compacted away is answered with *CompactedError, one in the future with
	// *FutureError.
	Revision uint64
}

// ListResponse is one page.
type ListResponse struct {
	Entries []Entry
	// Revision is that of the snapshot: pass it with the last key for the next
	// page, or to Watch for what follows.
	Revision uint64
	// More is true where entries remain after the last one; Remaining is their
	// number where it is known at no great cost, else -1.
	More      bool
	Remaining int64
}

// WatchRequest asks for the changes under a prefix.
type WatchRequest struct {
	Prefix string
	// After is the revision after which changes are wanted.
	After uint64
	// Bookmarks asks for events of type EventBookmark: at once when the
	// watcher has caught up with the store as it was at the call, and about
	// once a minute while nothing else is delivered.
	Bookmarks bool
}

// Watcher is a running watch. Events is closed when it ended; Err then says
// why (nil where its context ended).
type Watcher interface {
	// Events delivers batches in revision order. A batch is never empty and
	// its events are shared by all watchers: they must not be changed.
	Events() <-chan []*Event
	Err() error
	// Stop ends the watch and releases what it holds. It may be called twice.
	Stop()
}

// EventType says what happened to a key.
type EventType uint8

const (
	EventCreated EventType = iota + 1
	EventUpdated
	EventDeleted
	// EventBookmark says that everything up to Revision was delivered; only
	// Revision is set.
	EventBookmark
)

// Event is one change. One Event value is shared by every watcher, so what is
// costly to derive from it (a decoded object, an encoding) can be kept in
// Derived and is then paid for once.
type Event struct {
	Type     EventType
	Key      string
	Revision uint64
	// Value is the value after the change; empty for EventDeleted.
	Value []byte
	// Previous is the value before it; empty for EventCreated.
	Previous []byte
	// Derived is for the store's user.
	Derived Derived
}
