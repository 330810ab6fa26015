// volume-emptydir gives a pod an empty directory that lives as long as the
// pod, on the node's disk or, with medium Memory, in a tmpfs.
package main

import (
	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/volume"
)

func main() {
	volume.Serve(plugin.Info{Name: "emptydir", Version: "1.0.0"}, emptyDir{})
}
