// scheduler-binpack fills nodes one after the other, so that as few as possible
// are in use.
//
// It takes no configuration but the name that it serves (spec.schedulerName of
// the Plugin object). How full a node is weighs more than any one thing that
// pods prefer themselves (taints, node and pod affinity, topology spread); what
// they require holds as everywhere.
package main

import (
	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/scheduler"
)

func main() {
	scheduler.Serve(plugin.Info{Name: "binpack", Version: "1.0.0"}, scheduler.Profile{
		Scores: append(scheduler.Wishes(),
			scheduler.Weighted{Score: scheduler.MostAllocated{}, Weight: 4},
		),
	})
}
