// scheduler-spread is the default scheduler: it keeps nodes evenly used and the
// pods of one owner apart.
//
// It takes no configuration but the name that it serves (spec.schedulerName of
// the Plugin object). What pods prefer themselves (taints, node and pod
// affinity, topology spread) weighs most, then that a node has few pods of the
// same owner, then how much of its cpu and memory is left, and how alike the
// two are used.
package main

import (
	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/scheduler"
)

func main() {
	scheduler.Serve(plugin.Info{Name: "spread", Version: "1.0.0"}, scheduler.Profile{
		Scores: append(scheduler.Wishes(),
			scheduler.Weighted{Score: scheduler.OwnerSpread{}, Weight: 2},
			scheduler.Weighted{Score: scheduler.LeastAllocated{}, Weight: 1},
			scheduler.Weighted{Score: scheduler.BalancedAllocation{}, Weight: 1},
		),
	})
}
