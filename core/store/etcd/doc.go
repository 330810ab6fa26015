// Package etcd is the implementation of store.Store on etcd, for several
// servers that share one state.
//
// # What is kept
//
// Under Options.Prefix: e/<key> is an entry, with the claims that it holds
// before its value; r/<claim> is the key of the entry that holds a claim; and
// last is written by each write, so that its revision is that of the store's
// newest write, whatever else etcd is used for. A write is one transaction of
// etcd, and its revision is etcd's. Entries' revisions are what etcd keeps of
// keys, so the first write of a store need not have revision 1 and revisions
// need not be consecutive.
//
// Durability and order are etcd's. Its history is compacted by Compact, by
// etcd's own --auto-compaction, or by whoever else compacts it; the store does
// not do so by itself, since it may not be the only user.
//
// # Goroutines and buffers
//
//   - the feeder holds one watch on all entries and fills the window of recent
//     events; it ends with Close. Where etcd compacted what it had yet to read,
//     the window starts anew and watches end with *store.CompactedError;
//   - the window's dispatcher and pumps, see package window;
//   - the client's own connection, shared by all calls. A call waits for etcd
//     as long as its context allows.
package etcd
