// Package scheduler reduces a scheduler to two questions: which nodes can run a
// pod ([Filter]), and which of them is best ([Score]). What is the same for
// every scheduler is done here once: the stream with the core, a snapshot of
// the cluster that is kept up to date change by change, the filters that the
// Kubernetes API promises to every pod, pods that were decided and are not seen
// bound yet, the words that a pod which fits nowhere is told, and trying it
// again when something changed that could help it.
//
// A scheduler that prefers nodes with more of a label is this:
//
//	type byLabel struct{}
//
//	func (byLabel) Score(pod *scheduler.Pod, node *scheduler.Node) int64 {
//		n, _ := strconv.ParseInt(node.Labels["rank"], 10, 64)
//		return n
//	}
//
//	func main() {
//		scheduler.Serve(plugin.Info{Name: "bylabel", Version: "1.0.0"}, scheduler.Profile{
//			Scores: []scheduler.Weighted{{Score: byLabel{}, Weight: 1}},
//		})
//	}
//
// One goroutine decides, one pod after the other, as the order of decisions is
// what makes them right. Nodes are looked at from where the pod before left
// off; in a large cluster the search ends when enough that fit were found.
package scheduler
