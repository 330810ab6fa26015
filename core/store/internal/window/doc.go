// Package window keeps the most recent events of a store in memory, once, for
// all watchers of it, and runs those watchers.
//
// A watch passes through up to three states. It starts as a pump: a goroutine
// that reads what came before the window from the store's history, then the
// window, and blocks when its reader does. Once it has read all there is it
// turns live: it has no goroutine any more and the one dispatcher hands it each
// new batch. A live watch whose reader did not take the last batch in time is
// a pump again.
//
//	history ──pump──▶ window ──pump──▶ live ──dispatcher──▶ reader
//	                     ▲                │ reader is behind
//	                     └──────pump──────┘
//
// What is bounded, and the rule when it is full:
//
//   - the ring: Limits.Events and Limits.Bytes; the oldest events leave it;
//   - a watch: one batch in its channel and one in its pump's hands, each of at
//     most maxBatchEvents events or, above maxBatchBytes, one event; a pump
//     that needs an event which left the ring ends with store.ErrSlow;
//   - the dispatcher: a single goroutine that never blocks on a reader. Where
//     writers outrun it, it delivers larger batches, and where they outrun the
//     ring, watches read history.
//
// Publish only appends to the ring, so nothing that a watcher does slows a
// writer.
package window
