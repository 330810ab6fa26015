// Package badger is the embedded implementation of store.Store, on the
// key-value store Badger in managed mode.
package badger
