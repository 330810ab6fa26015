// scheduler-binpack fills nodes one after the other, so that as few as possible
// are in use.
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
