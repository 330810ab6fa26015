// Package oncrpc is a client of ONC remote procedure calls over TCP, RFC 5531,
// with the external data representation of RFC 4506, as small as a client of
// NFS needs it.
//
// A [Client] holds one connection, on which any number of calls are under way.
// When it breaks, the client connects again and sends the calls that had no
// answer again, under their old transaction IDs, by which a server recognizes
// them. A call ends with its context or with the client, never by itself.
//
// Goroutines: a reader and a writer per connection, at most one that connects.
// Buffers: queueLength calls to be written, one reply of at most maxRecord
// bytes per call under way.
package oncrpc
