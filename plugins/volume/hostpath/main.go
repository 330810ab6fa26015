// volume-hostpath gives pods a file or directory of the node itself: the
// hostPath source of a pod's volume.
package main

import (
	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/volume"
)

func main() {
	volume.Serve(plugin.Info{Name: "hostpath", Version: "1.0.0"}, hostPath{})
}
