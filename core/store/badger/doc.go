// Package badger is the embedded implementation of store.Store, on the
// key-value database Badger in managed mode.
//
// # How a write becomes durable
//
//	Write ──▶ queue ──▶ committer ──▶ one transaction, one sync ──▶ visible
//	  ▲                                                              │
//	  └───────────────────────── answer ─────────────────────────────┤
//	                             window ◀── events ──────────────────┘
//
// One goroutine, the committer, writes to Badger. It takes what waits in the
// queue, decides each write against the newest state and against what the batch
// did to claims so far, and commits the batch as one transaction of Badger with
// one sync; meanwhile the next batch gathers. So the rate of syncs bounds the
// rate of batches, not that of writes.
//
// The transaction is committed under the last revision of the batch as its
// version, with Badger's commit marker, so that after a crash it is there as a
// whole or not at all; entries under versions of their own would be written
// without the marker and, since Badger orders a transaction at random, could be
// left behind in any combination. An entry's own revision is in its record. The
// record of the batch, under a key of its own, lists its changes in order: by it
// history is replayed, and a list at a revision in the middle of a batch is the
// state before the batch with the changes up to there.
//
// # What is kept
//
// Badger keeps each version of a key that is newer than its discard timestamp,
// and of the others the newest; that is the history. Compact moves the
// timestamp, and the store does so by itself for what is over Options.History.
// Tombstones that Badger would not come across again are swept, see sweep.go.
// Values are never put in Badger's value log: one over half a MiB is split. So
// there is no value log to collect, and one file to sync.
//
// # Every goroutine
//
//   - the committer (commitLoop): ends with Close, after the writes it took;
//   - the maintainer (maintain): every five seconds, or when an eighth of
//     History.Bytes was written, asks the committer to compact history and to
//     sweep, and each minute notes in the directory how far the store came;
//   - the window's dispatcher, and a pump for each watch that catches up or
//     whose reader is behind, see package window; they end with Close;
//   - Badger's own: two compactors, the flusher of memory tables, the writer.
//
// # Every buffer, its bound and what happens when it is full
//
//   - the queue: queueLength writes; more wait in Write, under their context;
//   - a batch: a bit less than 15% of Options.TableSize in bytes, Badger's bound
//     of a transaction; what does not fit, or writes a key again that the batch
//     has written, is first in line for the next one;
//   - memory tables: two and the one that is written out, of Options.TableSize;
//     when Badger is behind with writing them out, the committer waits, and the
//     queue fills;
//   - buffers for building tables: eight at most, of about twice the size of a
//     table on disk; Badger gives them back when it builds none;
//   - the window: Options.Window; the oldest events leave it, and watches that
//     still need them end with store.ErrSlow;
//   - history: Options.History; it is compacted;
//   - the disk: Options.MinFree and room for two compactions are kept free; below
//     that creates and updates fail with store.ErrNoSpace, below half of it
//     deletes do too. Badger writes
//     through mapped files, and the kernel ends a process that writes to a
//     mapped file on a full disk; that is why the store stops before. Should
//     others take the last of the disk within the seconds that Badger needs to
//     finish what it has begun, or a quota end that statfs does not show, the
//     process may end so. Nothing acknowledged is lost by that, and Open says
//     that the disk is full.
//
// # The directory
//
// LOCK is held by the process that has the store open and says which it is.
// STORE says that the directory is a store, of which format, and how far it had
// come at least, so that one that lost acknowledged writes is not taken for a
// whole one. db is Badger's.
package badger
