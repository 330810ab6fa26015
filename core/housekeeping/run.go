package housekeeping

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/pintle-io/pintle/core/auth"
	"github.com/pintle-io/pintle/core/loop"
	"github.com/pintle-io/pintle/core/registry"
	"github.com/pintle-io/pintle/sdk/controller"
)

// Options of Run. Times that are not set get Kubernetes' defaults.
type Options struct {
	API     loop.API
	Source  loop.Source
	Kinds   *registry.Registry
	Journal *loop.Journal
	Logger  *slog.Logger
	Metrics prometheus.Registerer
	// OnStatus is told of a loop's status, by name. It must not wait.
	OnStatus func(loop string, s loop.Status)

	// NodeGrace is how long a node may leave its lease unrenewed; 40 s.
	NodeGrace time.Duration
	// GoneGrace is how long a pod may name a node that is not there; 40 s.
	GoneGrace time.Duration
	// EventTTL is how long events are kept after they were last seen; 1 h.
	EventTTL time.Duration
	// Sweep is how often what grows old is looked for; 1 min.
	Sweep time.Duration
	// EndedPods is how many pods that ended are kept; 12,500.
	EndedPods int
	// Now is the clock; time.Now.
	Now func() time.Time
}

func (o *Options) fill() {
	setDuration(&o.NodeGrace, 40*time.Second)
	setDuration(&o.GoneGrace, 40*time.Second)
	setDuration(&o.EventTTL, time.Hour)
	setDuration(&o.Sweep, time.Minute)
	if o.EndedPods == 0 {
		o.EndedPods = 12_500
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

func setDuration(field *time.Duration, value time.Duration) {
	if *field == 0 {
		*field = value
	}
}

// named is one loop.
type named struct {
	name       string
	spec       controller.Spec
	reconciler controller.Reconciler
}

// Run runs all loops until ctx ends.
func Run(ctx context.Context, opts Options) error {
	opts.fill()
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range loops(opts) {
		group.Go(func() error { return l.run(ctx, opts) })
	}
	return group.Wait()
}

func loops(o Options) []named {
	owners := newOwners(o.Kinds)
	nodes := &nodes{grace: o.NodeGrace, goneGrace: o.GoneGrace}
	return []named{
		{"owners", owners.spec(), owners},
		{"nodes", nodes.spec(), nodes},
		{"pods", podsSpec(), &pods{keep: o.EndedPods, sweep: o.Sweep}},
		{"accounts", accountsSpec(), accounts{}},
		{"events", eventsSpec(), &events{ttl: o.EventTTL, sweep: o.Sweep}},
		{"tokens", tokensSpec(), tokens{}},
	}
}

func (n named) run(ctx context.Context, o Options) error {
	spec, opener, err := controller.InProcess(n.spec, n.reconciler, o.Now)
	if err != nil {
		return fmt.Errorf("housekeeping loop %s: %w", n.name, err)
	}
	runner := loop.New(loop.Options{
		Name: "housekeeping/" + n.name, Component: "pintle-" + n.name,
		API: o.API, Source: o.Source, Kinds: o.Kinds, Journal: o.Journal,
		Logger: o.Logger, Registerer: o.Metrics,
		OnStatus: func(s loop.Status) {
			if o.OnStatus != nil {
				o.OnStatus(n.name, s)
			}
		},
	})
	return runner.Run(ctx, loop.Loop{Identity: auth.System("housekeeping:" + n.name), Spec: spec, Opener: opener})
}
