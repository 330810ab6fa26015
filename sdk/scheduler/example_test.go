package scheduler_test

import (
	"strconv"

	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/scheduler"
)

type byLabel struct{}

func (byLabel) Score(_ *scheduler.Pod, node *scheduler.Node) int64 {
	n, _ := strconv.ParseInt(node.Labels["rank"], 10, 64)
	return n
}

// The whole of a scheduler that prefers nodes with a higher label "rank".
func Example() {
	scheduler.Serve(plugin.Info{Name: "bylabel", Version: "1.0.0"}, scheduler.Profile{
		Scores: []scheduler.Weighted{{Score: byLabel{}, Weight: 1}},
	})
}
