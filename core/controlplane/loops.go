package controlplane

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/auth"
	"github.com/pintle-io/pintle/core/host/manager"
	"github.com/pintle-io/pintle/core/loop"
	"github.com/pintle-io/pintle/core/registry"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	pintlev1 "github.com/pintle-io/pintle/sdk/api/v1"
	"github.com/pintle-io/pintle/sdk/controller/stream"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// Options of NewLoops.
type Options struct {
	API     loop.API
	Source  loop.Source
	Kinds   *registry.Registry
	Journal *loop.Journal
	Logger  *slog.Logger
	Metrics prometheus.Registerer
}

// Loops runs a loop for every scheduler and controller.
type Loops struct {
	opts    Options
	metrics *loop.Metrics
	ctx     context.Context
	// running counts the goroutines that Close waits for.
	running sync.WaitGroup

	mu    sync.Mutex
	loops map[string]*pluginLoop // by the name of the Plugin object
}

// pluginLoop is the loop of one Plugin object. The runner lives as long as the
// object does, so that its queue and backoff survive a change of instances.
type pluginLoop struct {
	runner *loop.Runner
	mode   pintlev1.PluginMode
	// cancel ends the newest run, done is closed when it and all before it have
	// ended.
	cancel context.CancelFunc
	done   <-chan struct{}
}

// NewLoops returns loops that run until ctx ends.
func NewLoops(ctx context.Context, opts Options) *Loops {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	return &Loops{opts: opts, metrics: loop.NewMetrics(opts.Metrics), ctx: ctx, loops: map[string]*pluginLoop{}}
}

// Wait returns once every loop has ended, after the context has.
func (l *Loops) Wait() { l.running.Wait() }

// OnChange is told by the manager of every instance.
func (l *Loops) OnChange(c manager.Change) {
	if c.Type != pluginv1.PluginType_PLUGIN_TYPE_SCHEDULER && c.Type != pluginv1.PluginType_PLUGIN_TYPE_CONTROLLER {
		c.Release()
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.Instance == nil {
		l.stop(c)
		return
	}
	l.start(c)
}

// stop ends the loop of an instance that is gone.
func (l *Loops) stop(c manager.Change) {
	p := l.loops[c.Object.Name]
	if p == nil || p.cancel == nil {
		c.Release()
		return
	}
	p.cancel()
	l.releaseAfter(p.done, c.Release)
}

// start runs the loop on an instance. Where it runs on another one, that goes
// on until the new one has the whole state.
func (l *Loops) start(c manager.Change) {
	p := l.loops[c.Object.Name]
	if p == nil || p.mode != c.Object.Spec.Mode {
		// What was decided without being applied must not linger in a queue.
		if p != nil && p.cancel != nil {
			p.cancel()
		}
		p = &pluginLoop{runner: l.newRunner(c), mode: c.Object.Spec.Mode}
		l.loops[c.Object.Name] = p
	}
	before := p.done
	ctx, cancel := context.WithCancel(l.ctx)
	done := make(chan struct{})
	p.cancel, p.done = cancel, done
	log := l.opts.Logger.With("plugin", c.Object.Name)
	l.running.Go(func() {
		defer close(done)
		defer cancel()
		run := loop.Loop{
			Identity: auth.Plugin(plugin.TypeName(c.Type), c.Name),
			Spec:     c.Instance.Description().GetLoop(),
			Opener:   stream.NewClient(c.Instance.Conn()),
		}
		// The instance's own end ends its loop at once.
		l.running.Go(func() {
			select {
			case <-c.Instance.Done():
				cancel()
			case <-ctx.Done():
			}
		})
		l.awaitGrant(ctx, c.Object.Name)
		if err := p.runner.Run(ctx, run); err != nil {
			log.Error("the plugin's loop can't be run", "err", err)
		}
		if before != nil {
			<-before
		}
	})
	if before == nil {
		c.Release()
		return
	}
	l.releaseAfter(before, c.Release)
}

// How often, and how long at most, a loop looks whether its plugin's object says
// what it may do.
const (
	grantCheck = 10 * time.Millisecond
	grantWait  = 10 * time.Second
)

// awaitGrant waits until the object has permissions: the operator's, or those
// that the plugin declares, which the manager writes into the status at about
// the time when the plugin is ready. Without them the loop would only be
// refused.
func (l *Loops) awaitGrant(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(auth.WithUser(ctx, auth.System("loops")), grantWait)
	defer cancel()
	granted := func() bool {
		obj, err := l.opts.API.Get(ctx, api.Target{Resource: pluginResource, Name: name}, api.GetOptions{})
		if err != nil {
			return false
		}
		p, ok := obj.(*pintlev1.Plugin)
		return ok && (len(p.Spec.Permissions) > 0 || len(p.Status.Declared) > 0)
	}
	for !granted() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(grantCheck):
		}
	}
}

func (l *Loops) releaseAfter(done <-chan struct{}, release func()) {
	l.running.Go(func() {
		<-done
		release()
	})
}

func (l *Loops) newRunner(c manager.Change) *loop.Runner {
	kind := plugin.TypeName(c.Type)
	component := c.Name
	if c.Type == pluginv1.PluginType_PLUGIN_TYPE_SCHEDULER {
		component = cmp.Or(c.Object.Spec.SchedulerName, "default-scheduler")
	}
	return loop.New(loop.Options{
		Name: kind + "/" + c.Object.Name, Component: component,
		API: l.opts.API, Source: l.opts.Source, Kinds: l.opts.Kinds, Journal: l.opts.Journal,
		Logger: l.opts.Logger, Metrics: l.metrics, Shadow: c.Object.Spec.Mode == pintlev1.PluginShadow,
	})
}
