package loop

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pintle-io/pintle/core/auth"
	"github.com/pintle-io/pintle/core/registry"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/controller/stream"
)

// Options of New. What is not set gets a default.
type Options struct {
	// Name of the loop in logs, metrics and records: "controller/replication".
	Name string
	// Component is the source of its events: "replication"; Name by default.
	Component string

	API    API
	Source Source
	Kinds  *registry.Registry

	// Journal keeps the decisions; several runners share one. nil for none.
	Journal *Journal
	Logger  *slog.Logger
	Metrics *Metrics
	// Registerer takes the metrics where Metrics is not given.
	Registerer prometheus.Registerer
	// OnStatus is told whenever the status changes. It must not wait.
	OnStatus func(Status)

	// Shadow: decisions are kept in the journal and not applied.
	Shadow bool

	// DecisionTimeout is how long a plugin may think about one key; 30 s.
	DecisionTimeout time.Duration
	// StallTimeout is how long a plugin may leave the stream unread; 30 s.
	StallTimeout time.Duration
	// ApplyTimeout is how long applying one decision may take; 60 s.
	ApplyTimeout time.Duration
	// Backoff of keys that failed.
	Backoff Backoff
	// Restart is the backoff of streams that broke; 100 ms to 30 s.
	Restart Backoff
	// MaxInFlight bounds what a loop may ask for; 1024.
	MaxInFlight int
	// MaxKeys bounds the keys that a plugin may keep due; one million.
	MaxKeys int
	// MaxActions bounds one decision; 10,000.
	MaxActions int
	// Parallel bounds the actions applied at the same time; 128.
	Parallel int
	// EventBuffer bounds the events not yet written; 4096.
	EventBuffer int
	// Now is the clock; time.Now.
	Now func() time.Time
}

func (o *Options) fill() {
	set(&o.Component, o.Name)
	set(&o.DecisionTimeout, 30*time.Second)
	set(&o.StallTimeout, 30*time.Second)
	set(&o.ApplyTimeout, time.Minute)
	set(&o.Backoff, DefaultBackoff())
	set(&o.Restart, Backoff{Base: 100 * time.Millisecond, Max: 30 * time.Second})
	set(&o.MaxInFlight, 1024)
	set(&o.MaxKeys, 1_000_000)
	set(&o.MaxActions, 10_000)
	set(&o.Parallel, 128)
	set(&o.EventBuffer, 4096)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(o.Registerer)
	}
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Loop is one instance that serves the runner's loop.
type Loop struct {
	// Identity is the user that decisions are applied as.
	Identity auth.User
	// Spec is what the instance asks for, from its description.
	Spec *pluginv1.LoopSpec
	// Opener opens streams to it: stream.NewClient of a plugin's connection, or
	// controller.InProcess.
	Opener stream.Opener
}
