// network-cni connects pods through standard CNI plugins. Where the operator
// gives no network configuration it writes one: a routed point-to-point link
// for every pod, with addresses from the node's pod range.
//
// # How packets go
//
// A pod's only route leads to the node, by a link of its own, and the node has
// one route to each of its pods, so that every packet passes the node's IP layer
// and the rules there. The ranges of the cluster are unreachable but for these
// routes and those to other nodes' ranges, which go by the nodes' own addresses:
// nodes must be on one network, without a router in between that does not know
// the ranges; SetRoutes names those that are not. What pods send beyond the
// cluster gets the node's address. There is no overlay; an operator who needs
// one gives a configuration of another CNI plugin.
//
// # What is left where
//
//   - Below the node's state directory: pintle.conflist (the written
//     configuration), results (libcni's, one file an attachment), leases
//     (host-local's, one file an address).
//   - Routes of protocol 112, and the chains PINTLENET-*. Those of portmap,
//     CNI-*, are removed on Leave where no other network uses them.
//   - IP forwarding stays enabled after Leave: others may rely on it.
//
// An attachment is believed when its links and addresses are there. Host ports
// of it that somebody else flushed come back with the pod's next sandbox.
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
