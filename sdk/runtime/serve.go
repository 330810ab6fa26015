package runtime

import "github.com/pintle-io/pintle/sdk/plugin"

// Serve serves a runtime as a plugin and does not return: it ends with the
// host.
func Serve(info plugin.Info, impl Runtime) {
	plugin.Serve(info, Contract(impl))
}
