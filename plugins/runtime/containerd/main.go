package main

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/log"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/runtime"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/engine"
	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/keeper"
)

func main() {
	// containerd's libraries log each attempt of what they then return.
	_ = log.SetLevel("error")
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case keeper.Command:
			exit(keep(os.Args[2:]))
		case engine.LeaveCommand:
			exit(leave(os.Args[2:]))
		}
	}
	runtime.Serve(plugin.Info{Name: "containerd", Version: "0.1.0", ConfigSchema: engine.Schema()}, engine.New())
}

func keep(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: %s RUN_DIR", keeper.Command)
	}
	return keeper.Serve(args[0])
}

func leave(args []string) error {
	if len(args) != 2 && len(args) != 3 {
		return fmt.Errorf("usage: %s", engine.LeaveUsage)
	}
	var config []byte
	if len(args) == 3 {
		var err error
		if config, err = os.ReadFile(args[2]); err != nil {
			return err
		}
	}
	return engine.Leave(context.Background(), args[0], args[1], config)
}

func exit(err error) {
	if err == nil {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, err)
	if hint := errs.Hint(err); hint != "" {
		fmt.Fprintln(os.Stderr, hint)
	}
	os.Exit(1)
}
