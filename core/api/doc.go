// Package api is the one way to the cluster's objects for every reader and
// writer: the HTTP server, the loop runner that applies plugins' decisions, and
// the core's own housekeeping.
//
// A request names a Target and carries its user in the context
// (auth.WithUser). A write passes authorization, admission, defaulting,
// validation, preconditions and the allocation of unique values, in
// Kubernetes' order and with Kubernetes' semantics and errors
// (*apierrors.StatusError, always), and ends in one write to core/store.
//
// Objects are stored as JSON without metadata.resourceVersion, which is the
// entry's revision and is spliced in on the way out: reading an object as JSON
// costs no decoding. A Document is such an object, decoded when asked for.
//
// What runs and what is kept:
//   - one goroutine a watch (follow.go), which holds at most two batches of
//     events; where its reader does not read, the store ends the watch;
//   - one goroutine for the authorizer's index (index.go), from the first
//     question of a node or plugin until Close, with a line per bound pod and
//     per plugin;
//   - the newest state of recently written objects, decoded (cache.go), up to
//     4 MiB of stored form;
//   - the schemas of server-side apply (apply.go), from the first apply on.
package api
