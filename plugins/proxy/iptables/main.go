// proxy-iptables makes service addresses reach their endpoints with netfilter,
// through iptables: every connection is translated once, in the kernel.
//
// # Rules
//
// PINTLE-SERVICES, called first of all from PREROUTING and OUTPUT, sends each
// address and port of a service to a chain of that port: PINTLE-SVC-* with all
// endpoints, PINTLE-SVL-* with those on this node, PINTLE-EXT-* for what comes
// to external addresses and node ports. They choose a PINTLE-SEP-* chain, one an
// endpoint, which translates. A change of endpoints rewrites the chains of that
// port alone; each change is one transaction of iptables-restore. What is not
// translated is refused by PINTLE-REJECT in the filter table, at once, with the
// whole of the service ranges at its end.
//
// The service ranges have a route to the loopback link, of protocol 113, so that
// a node without a default route looks at the rules at all, and nothing for an
// unknown service leaves the node.
//
// # What others do to the rules
//
// Every few seconds the plugin looks for the calls of its chains and for a
// canary in each table; where one is missing it makes everything again. A single
// rule that somebody removes by hand comes back when its chain changes or the
// plugin starts.
//
// IPv6 is served where the node speaks it and the cluster has a service range of
// it. Node ports are not reached at loopback addresses.
package main

import (
	_ "embed"

	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/proxy"
)

//go:embed schema.json
var schema []byte

func main() {
	proxy.Serve(plugin.Info{Name: "iptables", Version: "1.0.0", ConfigSchema: schema}, &proxier{})
}
