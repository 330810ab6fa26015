// Package eviction watches what the node is short of (memory, disk, inodes,
// process IDs), says so in the node's conditions, and ends pods before the
// kernel or a full disk would.
//
// The thresholds are Kubernetes' defaults. On pressure of the disk, unused
// images go first; only then a pod is ended, one at a time: of those that use
// more than they asked for, the least important one that is furthest over. A
// pressure that is over stays reported for a while, so that what was evicted is
// not brought back at once.
package eviction
