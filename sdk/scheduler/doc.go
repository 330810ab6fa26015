// Package scheduler reduces a scheduler to two questions: which nodes can run a
// pod ([Filter]), and which of them is best ([Score]). What is the same for
// every scheduler is done here once: the stream with the core, a snapshot of
// the cluster that is kept up to date change by change, the filters that the
// Kubernetes API promises to every pod, pods that were decided and are not seen
// bound yet, the words that a pod which fits nowhere is told, and trying it
// again when something changed that could help it.
//
// A scheduler of one's own is a Score or a Filter and one call of [Serve]; the
// example is a whole one. [Wishes] are the scores that honour what pods prefer:
// a profile of more than an experiment begins with them.
//
// One goroutine decides, one pod after the other, as the order of decisions is
// what makes them right. Nodes are looked at from where the pod before left
// off; in a large cluster the search ends when enough that fit were found.
//
// A pod that was given a node is counted there from then on: until the stream
// shows its binding, or the outcome says that it was refused. One that fits
// nowhere waits until a change could help it (a node with room for it, a pod
// gone that was in its way, one there that it wants beside it), and is never
// tried by the clock.
//
// Not done: preemption, as pods have no priorities here, and a score for images
// that nodes have already, as the watch would bring every node again with each
// image that it pulls.
package scheduler
