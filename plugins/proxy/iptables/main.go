// proxy-iptables makes service addresses reach their endpoints with netfilter,
// through iptables: every connection is translated once, in the kernel.
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
