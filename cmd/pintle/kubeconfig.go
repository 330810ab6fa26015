package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// defaultStateDir is where pintled keeps its state.
const defaultStateDir = "/var/lib/pintle"

// adminKubeconfig is written by pintled at its start.
func adminKubeconfig(stateDir string) string { return filepath.Join(stateDir, "admin.kubeconfig") }

// useLocalCluster makes the cluster on this machine the default one.
func useLocalCluster() error {
	if os.Getenv("KUBECONFIG") != "" || slices.ContainsFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "--kubeconfig") }) {
		return nil
	}
	path := adminKubeconfig(stateDirOf())
	f, err := os.Open(path)
	if err != nil {
		return nil // None here, or not for this user.
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Setenv("KUBECONFIG", path)
}

func stateDirOf() string {
	if dir := os.Getenv("PINTLE_STATE_DIR"); dir != "" {
		return dir
	}
	return defaultStateDir
}

func addStateDirFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "state-dir", stateDirOf(), "state directory of the server on this machine (also $PINTLE_STATE_DIR)")
}

func newKubeconfigCommand(streams genericiooptions.IOStreams) *cobra.Command {
	var stateDir string
	cmd := &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the administrator's kubeconfig of the server on this machine",
		Long: `Print the administrator's kubeconfig of the server on this machine.

It holds a client certificate that may do everything: keep it as you would a
root password.`,
		Example: `  # Use an unmodified kubectl
  pintle kubeconfig > ~/.kube/pintle
  KUBECONFIG=~/.kube/pintle kubectl get nodes`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			path := adminKubeconfig(stateDir)
			content, err := os.ReadFile(path)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return fmt.Errorf("no server has run with the state directory %s: start one with \"pintled up\", or name another with --state-dir", stateDir)
			case errors.Is(err, fs.ErrPermission):
				return fmt.Errorf("reading %s: permission denied: run this as the user of pintled, usually root", path)
			case err != nil:
				return err
			}
			_, err = streams.Out.Write(content)
			return err
		},
	}
	addStateDirFlag(cmd, &stateDir)
	return cmd
}
