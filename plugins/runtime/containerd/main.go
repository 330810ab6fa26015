package main

import (
	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/runtime"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/engine"
)

func main() {
	runtime.Serve(plugin.Info{Name: "containerd", Version: "0.1.0", ConfigSchema: engine.Schema()}, engine.New())
}
