// Package stream is the plumbing of the Loop contract, below sdk/controller
// and sdk/scheduler: both ends of the stream, in another process or in this
// one, and the encoding of objects on it. Authors of controllers use
// sdk/controller; this package is for those who keep a view of their own.
//
// The plugin's end is a Handler, made anew for each stream and driven by Serve
// in the order of the stream, from one goroutine:
//
//	Start, Changes ... (until synced), then Changes, Work and Outcomes mixed,
//	at last Drain or the end of the stream.
//
// The core's end is an Opener: NewClient for a plugin's connection, InProcess
// for a loop of the core itself. What runs over either is the same.
package stream
