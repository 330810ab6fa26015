package main

import (
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/pintle-io/pintle/core/apiserver"
	"github.com/pintle-io/pintle/core/auth"
)

func newUpCommand() *cobra.Command {
	var p paths
	var s serverOptions
	var a agentOptions
	var l logOptions
	var hollow int
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a whole cluster on this machine",
		Long: `Run a whole cluster on this machine: a server and a node in one process.

Other machines can join it as they would a "pintled server".`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := l.start(os.Stderr)
			if err != nil {
				return err
			}
			lock, err := p.prepare()
			if err != nil {
				return err
			}
			defer lock.Close()
			plane, err := newControlPlane(cmd.Context(), &p, &s, log)
			if err != nil {
				return err
			}
			defer plane.close()
			a.clusterCIDR, a.serviceCIDR = []string{s.clusterCIDR}, []string{s.serviceCIDR}
			m, err := newMachine(&p, &a, plane.host, log, plane.metrics)
			if err != nil {
				return err
			}
			// The node of this machine is a client like any other, without the
			// socket in between.
			m.api = apiserver.InProcessConfig(plane.server.Handler(), auth.Node(a.name))
			serving, err := plane.authority.Serving("node", m.hosts())
			if err != nil {
				return err
			}
			m.tls = serving.TLS()
			group, ctx := errgroup.WithContext(cmd.Context())
			group.Go(func() error { return plane.run(ctx) })
			group.Go(func() error { return m.run(ctx) })
			if hollow > 0 {
				api := apiserver.InProcessConfig(plane.server.Handler(), auth.System("hollow-nodes"))
				group.Go(func() error { return runHollow(ctx, hollow, api, &p, plane.host, log) })
			}
			return endOf(group)
		},
	}
	p.addTo(cmd.Flags())
	s.addTo(cmd.Flags())
	a.addTo(cmd.Flags())
	l.addTo(cmd.Flags())
	cmd.Flags().IntVar(&hollow, "hollow", 0, "simulate so many nodes beside this one, for trials of large clusters")
	return cmd
}
