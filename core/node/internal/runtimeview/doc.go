// Package runtimeview keeps what the runtime plugin has: every sandbox and
// container of the node, by pod.
//
// The runtime's events say which container changed; the view asks for that
// container and tells whoever watches the pod. After a start, after the
// runtime plugin came back and once a minute the view lists everything, so that
// a lost event costs a minute and never a pod.
//
// Containers only move forward (created, running, exited, gone), so news that
// arrive late are recognized and dropped.
//
// Goroutines: Run has one that reads events and one that refreshes. What is to
// be refreshed is a set of IDs, bounded by the number of containers; more than
// a few become one listing.
package runtimeview
