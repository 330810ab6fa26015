// Package store is a watchable, versioned set of entries with conditional
// writes: where the cluster's state lives.
package store
