// Package saved is the format in which a store is saved: a magic line, frames
// of a length and as many bytes, and the SHA-256 of all before it. The frames
// are the revision, the entries in key order with the claims that they hold, and
// the number of entries.
package saved
