// Package apiserver serves core/api over HTTP as the Kubernetes API: the same
// paths, bodies, watch protocol, tables, discovery and OpenAPI, so that an
// unmodified kubectl or client-go program works.
//
// # The way of a request
//
// Server.ServeHTTP recovers panics, parses the path, authenticates, takes a
// place among the requests in flight, bounds the request's time, and hands it
// to what serves it: a resource (read.go, write.go, watch.go), something that
// streams to a node's agent (connect.go, log.go, proxy.go), a question that is
// answered and not kept (virtual.go), or one of the few other paths (paths.go).
// Authorization of objects is core/api's; that of the rest is done here by the
// same Authorizer.
//
// # Bytes
//
// A JSON answer to get and list is the stored bytes with resourceVersion
// spliced in. A watch event is encoded once for all watchers that want the
// same form, and kept in store.Event.Derived.
//
// # Bounds
//
//   - Requests in flight: Options.MaxReads and MaxWrites, lists of everything
//     counting more; above them 429 with Retry-After. Watches and streams are
//     counted by Options.MaxWatches and MaxStreams.
//   - Bodies: 3 MiB each (413 above), and all bodies being read at one time
//     share Options.BodyMemory but for their first 64 KiB; a request waits for
//     its part.
//   - Time: 60 s for everything but watches and streams, after which no body is
//     read, and 30 s later no answer written; 30 s for headers. A watch ends
//     after its timeoutSeconds, by default between 30 and 60 minutes.
//   - A watcher or log reader that takes nothing for 30 s is cut off by the
//     watchdog, with a line in the log.
//
// # Goroutines
//
// Beside net/http's own: the watchdog (one, ends with Server.Close), and for a
// request of an in-process client its handler, which ends with the request's
// context or when the client closes the body.
package apiserver
