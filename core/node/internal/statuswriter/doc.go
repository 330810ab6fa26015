// Package statuswriter brings pod statuses to the API.
//
// Set replaces what is to be written for a pod; only the latest counts, so a
// slow API costs freshness and no memory. What differs from the API is sent as
// a patch of the status that is bound to the pod's UID, and a failed write is
// repeated with backoff. Finish deletes the object for good once the last
// status is written: the pod is gone from the node.
//
// Goroutines: a fixed number of writers over a queue with one entry a pod.
package statuswriter
