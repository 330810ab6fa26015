package scheduler

// Filter says whether a node can run a pod. It is asked for many pairs a
// second, so it must not block.
type Filter interface {
	// Name identifies the filter in logs and metrics.
	Name() string
	// Filter returns why the node can't run the pod, in words that read well
	// after a number of nodes ("node(s) had no GPU"), or "".
	Filter(pod *Pod, node *Node, view *Snapshot) string
}

// Score rates a node that can run a pod: the highest sum of weighted scores
// wins. Scores are brought to the range 0 to MaxScore over the nodes at hand,
// so any scale will do.
type Score interface {
	Score(pod *Pod, node *Node) int64
}

// Preparer is a Score that works something out once a pod, before its nodes
// are rated.
type Preparer interface {
	Prepare(pod *Pod, nodes []*Node, view *Snapshot)
}

// Absolute is a Score whose figures are from 0 to MaxScore already and are
// taken as they are.
type Absolute interface {
	Absolute()
}

// MaxScore is the best score after it was brought to scale.
const MaxScore = 100

// Weighted is a score with its weight against others.
type Weighted struct {
	Score  Score
	Weight int64
}

// Profile is what makes one scheduler differ from another.
type Profile struct {
	// Filters are asked after the built-in ones.
	Filters []Filter
	// Scores decide among the nodes that fit.
	Scores []Weighted
}
