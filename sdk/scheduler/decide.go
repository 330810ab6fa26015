package scheduler

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Search bounds, after Kubernetes' percentageOfNodesToScore: in a small cluster
// every node is looked at; in a large one the search ends when enough that fit
// were found, since the best of a few hundred is nearly the best of all.
const (
	searchAll     = 100
	searchPercent = 5
)

func enough(nodes int) int {
	if nodes <= searchAll {
		return nodes
	}
	return max(searchAll, nodes*searchPercent/100)
}

// decider looks for a node.
type decider struct {
	profile Profile
	view    *Snapshot
	// next is where the search for the next pod begins.
	next int
	// scratch space, used again for each pod.
	fit    []*Node
	sums   []int64
	rating []int64
	why    []string
	// filtered: one of the profile's own filters said no.
	filtered bool
}

// verdict is a node, or why there is none.
type verdict struct {
	node *Node
	// score of the chosen node and how many nodes fitted, for the reason.
	score  int64
	fitted int
	// reasons counts nodes by why they can't run the pod.
	reasons  map[string]int
	looked   int
	filtered bool
}

// decide never changes the snapshot.
func (d *decider) decide(pod *Pod) verdict {
	v := verdict{reasons: map[string]int{}}
	d.filtered = false
	nodes := d.view.order
	d.fit = d.fit[:0]
	var near *neighbours
	if len(d.view.withAnti) > 0 || len(pod.affinity) > 0 || len(pod.anti) > 0 {
		near = d.view.neighboursOf(pod)
	}
	var spread *spreading
	if slices.ContainsFunc(pod.spread, func(t spreadTerm) bool { return t.hard }) {
		spread = d.view.spreadingOf(pod)
	}
	wanted := enough(len(nodes))
	for i := range nodes {
		at := (d.next + i) % len(nodes)
		node := nodes[at]
		v.looked++
		if d.check(pod, node, near, spread, v.reasons) {
			if d.fit = append(d.fit, node); len(d.fit) >= wanted {
				d.next = at + 1
				break
			}
		}
	}
	if len(nodes) > 0 {
		d.next %= len(nodes)
	}
	v.fitted, v.filtered = len(d.fit), d.filtered
	if v.fitted > 0 {
		v.node, v.score = d.best(pod)
	}
	return v
}

// check counts why a node can't run the pod, and tells whether it can.
func (d *decider) check(pod *Pod, node *Node, near *neighbours, spread *spreading, reasons map[string]int) bool {
	if why := checkNode(pod, node); why != "" {
		reasons[why]++
		return false
	}
	d.why = checkRoom(pod, node, d.why[:0])
	if len(d.why) > 0 {
		for _, why := range d.why {
			reasons[why]++
		}
		return false
	}
	if spread != nil {
		if why := spread.check(pod, node); why != "" {
			reasons[why]++
			return false
		}
	}
	if near != nil {
		if why := near.check(pod, node); why != "" {
			reasons[why]++
			return false
		}
	}
	for _, f := range d.profile.Filters {
		if why := f.Filter(pod, node, d.view); why != "" {
			reasons[why]++
			d.filtered = true
			return false
		}
	}
	return true
}

// best picks the highest sum of weighted scores, at random among equals.
func (d *decider) best(pod *Pod) (*Node, int64) {
	if len(d.fit) == 1 {
		return d.fit[0], 0
	}
	d.sums = append(d.sums[:0], make([]int64, len(d.fit))...)
	for _, w := range d.profile.Scores {
		if !wished(w.Score, pod, d.view) {
			continue
		}
		if p, ok := w.Score.(Preparer); ok {
			p.Prepare(pod, d.fit, d.view)
		}
		d.rating = d.rating[:0]
		for _, node := range d.fit {
			d.rating = append(d.rating, w.Score.Score(pod, node))
		}
		if _, ok := w.Score.(Absolute); !ok {
			toScale(d.rating)
		}
		for i, r := range d.rating {
			d.sums[i] += r * w.Weight
		}
	}
	at, equals := 0, 1
	for i := 1; i < len(d.sums); i++ {
		switch {
		case d.sums[i] > d.sums[at]:
			at, equals = i, 1
		case d.sums[i] == d.sums[at]:
			if equals++; rand.IntN(equals) == 0 {
				at = i
			}
		}
	}
	return d.fit[at], d.sums[at]
}

// toScale brings figures to 0 to MaxScore; equal ones say nothing and become 0.
func toScale(figures []int64) {
	least, most := slices.Min(figures), slices.Max(figures)
	for i := range figures {
		if most == least {
			figures[i] = 0
			continue
		}
		// As floats first: the difference of two figures may not fit in one.
		figures[i] = int64((float64(figures[i]) - float64(least)) / (float64(most) - float64(least)) * MaxScore)
	}
}

// message says why there is no node, in Kubernetes' words and order.
func (v *verdict) message() string {
	if v.looked == 0 {
		return "no nodes available to schedule pods"
	}
	counts := make([]string, 0, len(v.reasons))
	for why, n := range v.reasons {
		counts = append(counts, fmt.Sprintf("%d %s", n, why))
	}
	slices.Sort(counts)
	return fmt.Sprintf("0/%d nodes are available: %s.", v.looked, strings.Join(counts, ", "))
}
