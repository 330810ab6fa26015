package main

import (
	"fmt"
	"os"

	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/runtime"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/engine"
	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/keeper"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == keeper.Command {
		exit(keeper.Serve(os.Args[2]))
	}
	runtime.Serve(plugin.Info{Name: "containerd", Version: "0.1.0", ConfigSchema: engine.Schema()}, engine.New())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
