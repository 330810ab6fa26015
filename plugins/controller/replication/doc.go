// Command replication is the controller of ReplicationControllers and
// ReplicaSets: it keeps the number of their pods at what was asked for.
//
// It works as Kubernetes' own does. Pods that the selector matches and nobody
// controls are adopted, controlled ones that no longer match are released.
// Pods that ended, or are being deleted, don't count. Missing pods are created
// in growing batches, so that a template which can't work is not tried a
// thousand times; surplus ones are deleted in the order that hurts least (see
// rank.go). Status and the ReplicaFailure condition say how it stands.
//
// Nothing is remembered between decisions, and nothing expected: the view
// always has what the last decision did.
package main
