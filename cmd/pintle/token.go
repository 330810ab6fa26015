package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	"github.com/pintle-io/pintle/core/auth"
)

func newTokenCommand(factory cmdutil.Factory, streams genericiooptions.IOStreams) *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Make the tokens that machines join the cluster with"}
	var stateDir, description string
	var life time.Duration
	create := &cobra.Command{
		Use:   "create",
		Short: "Print a new token",
		Long: `Print a new token for "pintled agent --token".

It holds the fingerprint of the cluster's authority, by which the new machine
knows that it speaks with the right server. Run this on the server's machine:
it reads the authority there.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			authority, err := auth.OpenAuthority(filepath.Join(stateDir, "pki"))
			if err != nil {
				return err
			}
			token, secret, err := authority.NewToken(life, description)
			if err != nil {
				return err
			}
			client, err := factory.KubernetesClientSet()
			if err != nil {
				return err
			}
			if _, err := client.CoreV1().Secrets(secret.Namespace).Create(c.Context(), secret, metav1.CreateOptions{}); err != nil {
				return fmt.Errorf("keeping the token in the cluster: %w", err)
			}
			_, err = fmt.Fprintln(streams.Out, token)
			return err
		},
	}
	addStateDirFlag(create, &stateDir)
	create.Flags().DurationVar(&life, "ttl", 24*time.Hour, "how long the token can be used; 0 for ever")
	create.Flags().StringVar(&description, "description", "", "what it is for")
	cmd.AddCommand(create)
	return cmd
}
