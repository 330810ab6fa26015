package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pintle-io/pintle/core/store/badger"
)

func newStoreCommand(streams genericiooptions.IOStreams) *cobra.Command {
	cmd := &cobra.Command{Use: "store", Short: "Save and restore the state of a server that is stopped"}
	var stateDir string
	save := &cobra.Command{
		Use: "save FILE", Short: "Write a snapshot of the store (- for standard output)", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			dir := storeDir(stateDir)
			if _, err := os.Stat(dir); err != nil {
				return fmt.Errorf("there is no store to save: %w", err)
			}
			s, err := badger.Open(badger.Options{Dir: dir})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			return write(streams.Out, args[0], func(w io.Writer) error {
				revision, err := s.Save(c.Context(), w)
				if err == nil {
					fmt.Fprintf(streams.ErrOut, "saved the store at revision %d\n", revision)
				}
				return err
			})
		},
	}
	restore := &cobra.Command{
		Use: "restore FILE", Short: "Make the store of a new server from a snapshot (- for standard input)", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			in := streams.In
			if args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer file.Close()
				in = file
			}
			revision, err := badger.Restore(c.Context(), badger.Options{Dir: storeDir(stateDir)}, bufio.NewReader(in))
			if err != nil {
				return err
			}
			fmt.Fprintf(streams.ErrOut, "restored the store at revision %d\n", revision)
			return nil
		},
	}
	for _, c := range []*cobra.Command{save, restore} {
		addStateDirFlag(c, &stateDir)
		cmd.AddCommand(c)
	}
	return cmd
}

func storeDir(stateDir string) string { return filepath.Join(stateDir, "store") }

// write makes a file whole or not at all.
func write(out io.Writer, name string, content func(io.Writer) error) error {
	if name == "-" {
		return content(out)
	}
	file, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	buffered := bufio.NewWriter(file)
	err = content(buffered)
	for _, step := range []func() error{buffered.Flush, file.Sync, file.Close} {
		err = errors.Join(err, step())
	}
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), name)
}
