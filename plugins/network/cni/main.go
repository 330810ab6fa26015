// network-cni connects pods through standard CNI plugins. Where the operator
// gives no network configuration it writes one: a routed point-to-point link
// for every pod, with addresses from the node's pod range.
package main

import (
	_ "embed"

	"github.com/pintle-io/pintle/sdk/network"
	"github.com/pintle-io/pintle/sdk/plugin"
)

//go:embed schema.json
var schema []byte

func main() {
	network.Serve(plugin.Info{Name: "cni", Version: "1.0.0", ConfigSchema: schema}, &cni{})
}
