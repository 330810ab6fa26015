// Package store is where the state of a cluster lives: a watchable, versioned
// set of entries with conditional writes.
//
// The interface is small on purpose, and is what both a library and a server
// can keep: package badger implements it in process, package etcd on an etcd
// that several servers share, and package storetest is the suite that both
// pass.
//
// # Vocabulary
//
// An entry is a key with a value. A write creates, updates or deletes one
// entry. Each write that succeeds takes the next revision; the revision of the
// newest one is the store's. The history is what the store still knows of
// revisions before that; compaction gives up its older part. A reservation, or
// claim, is a name that at most one entry holds at a time. An event is one
// write as a watch tells it.
//
// # Guarantees
//
// They follow the list that etcd gives of its own (etcd.io, "KV API
// guarantees"), and the suite checks each.
//
// Atomicity. A write with the claims that it takes and frees happens as a whole
// or not at all, whenever the process or the machine stops.
//
// Durability. A write that was acknowledged is on disk: it was synced, and is
// there after a crash and after a power loss. A write that was not acknowledged
// may be there too; it is there once.
//
// Strict serializability. All operations happen in one order, which agrees with
// real time: an operation that begins after another was answered comes after
// it. Get, List of the newest revision, Reservation, Reservations and Revision
// see every write acknowledged before they were called. The order of writes is
// that of their revisions.
//
// Revisions are unique and increase. No two writes share one, none is used
// again, and a crash does not turn them back below what was acknowledged or
// shown.
//
// Snapshots. A list at a revision shows what was there when that revision was
// the newest, for as long as it is part of the history, also in pages and
// whatever is written meanwhile.
//
// Watches are ordered, unique, reliable and resumable. Events arrive in the
// order of their revisions; each once; none between two is left out; and a
// watch that names the last revision that its reader saw goes on right after
// it. A bookmark says that everything up to a revision was delivered, also to a
// reader whose prefix has had no change for long. An event is delivered only
// when it is durable and can be read with Get.
//
// After compaction to a revision, lists at and watches after an older one fail
// with *CompactedError, which names the oldest that is left; those at it do
// not. The newest value of each entry is never lost. A list that was begun is
// finished or fails so; it never shows half of what was there.
//
// What is not promised: that a write whose caller stopped waiting did not
// happen (ErrUnknownOutcome; read to find out), and that a reader who does not
// read keeps its watch (ErrSlow).
//
// # Failures
//
// Where there is no room for writes they fail with ErrNoSpace, at once and
// without effect, and work again when there is. Where the disk fails a write
// the store can't know what is on it; it refuses writes from then on with
// ErrFailed, serves reads of what was acknowledged, and is right again after it
// was opened again. A store that is damaged, or that a newer release wrote,
// does not open and says why.
package store
