// pintled is Pintle's daemon: the API server with its store and loops, the node
// agent, or both, with the plugins that decide and act.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "unknown"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "pintled:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "pintled",
		Short: "Pintle's daemon",
		Long: `pintled runs a Pintle cluster, or one machine's part of it.

  pintled up       a whole cluster on this machine
  pintled server   the API server, the store, and what decides
  pintled agent    a node: what runs pods on this machine

A role can be stopped, or killed, and started again at any time: pods keep
running, and nothing that was acknowledged is lost.`,
		Example: `  # A cluster on this machine, and a look at it
  pintled up &
  pintle get nodes,plugins

  # A cluster of several machines
  pintled server                                              # on the first
  pintle token create                                         # there, too
  pintled agent --server https://FIRST:6443 --token TOKEN     # on each other`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version,
	}
	root.AddCommand(newUpCommand(), newServerCommand(), newAgentCommand(), newResetCommand())
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}
