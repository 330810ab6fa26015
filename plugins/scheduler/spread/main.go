// scheduler-spread is the default scheduler: it keeps nodes evenly used and the
// pods of one owner apart.
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
