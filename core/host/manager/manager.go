package manager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"

	"github.com/pintle-io/pintle/core/host"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	pintlev1 "github.com/pintle-io/pintle/sdk/api/v1"
)

// Options configures a Manager.
type Options struct {
	Host *host.Host
	// Client is a REST client for pintle.io/v1; see NewClient.
	Client rest.Interface
	// Types are those that this manager runs.
	Types []pluginv1.PluginType
	// PluginDir is where executables without a path are looked up.
	PluginDir string

	// NodeName is the node of an agent, and empty on the server.
	NodeName string
	// NodeInfo returns what plugins are told of the node; nil on the server.
	// When its answer changes, call Resync.
	NodeInfo func() *pluginv1.NodeInfo
	// NodeLabels returns the labels that a nodeSelector is matched with.
	NodeLabels func() map[string]string
	// StateDir and RunDir hold a directory for each plugin of a node, which
	// gets its path as NodeInfo.state_dir and run_dir.
	StateDir string
	RunDir   string

	// NodeGone, on the server, reports that a node does not exist any more; its
	// lines then leave the statuses. Call Resync when one went. nil means none.
	NodeGone func(name string) bool

	// OnInstance, where set, is a first listener; see OnChange.
	OnInstance func(Change)
	// Recorder writes events about the objects, or is nil; see NewRecorder.
	Recorder record.EventRecorder
	Logger   *slog.Logger
	// Workers is how many plugins are started or swapped at once.
	Workers int
}

const (
	defaultWorkers = 4
	statusWriters  = 2
	// Retries of a swap that failed, and of status writes.
	retryInitial = 2 * time.Second
	retryMax     = 2 * time.Minute
	stopTimeout  = 20 * time.Second
)

// Manager runs plugins. Make it with New, run it with Run.
type Manager struct {
	opts     Options
	log      *slog.Logger
	informer cache.SharedIndexInformer
	work     workqueue.TypedRateLimitingInterface[string] // names of objects
	statuses workqueue.TypedRateLimitingInterface[string] // names of objects

	mu      sync.Mutex
	managed map[string]*managed   // by the object's name
	owners  map[identity]*managed // which of them has an identity
	ran     bool

	// telling orders what listeners are told. It is taken before mu.
	telling   sync.Mutex
	listeners map[int]func(Change)
	nextID    int
}

// New returns a manager. It does nothing before Run.
func New(opts Options) (*Manager, error) {
	switch {
	case opts.Host == nil, opts.Client == nil:
		return nil, errors.New("plugin manager: host and client are required")
	case len(opts.Types) == 0:
		return nil, errors.New("plugin manager: no types of plugins to run")
	case opts.NodeName != "" && (opts.NodeInfo == nil || opts.StateDir == "" || opts.RunDir == ""):
		return nil, errors.New("plugin manager: a node needs node info, state and run directory for its plugins")
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Workers == 0 {
		opts.Workers = defaultWorkers
	}
	m := &Manager{
		opts:      opts,
		log:       opts.Logger,
		work:      newQueue("plugins"),
		statuses:  newQueue("plugin_statuses"),
		managed:   map[string]*managed{},
		owners:    map[identity]*managed{},
		listeners: map[int]func(Change){},
	}
	if opts.OnInstance != nil {
		m.OnChange(opts.OnInstance)
	}
	listWatch := cache.NewListWatchFromClient(opts.Client, resource, "", fields.Everything())
	m.informer = cache.NewSharedIndexInformer(
		cache.ToListWatcherWithWatchListSemantics(listWatch, opts.Client), &pintlev1.Plugin{}, 0, cache.Indexers{})
	_, err := m.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { m.enqueue(obj) },
		UpdateFunc: func(_, obj any) { m.enqueue(obj) },
		DeleteFunc: func(obj any) { m.enqueue(obj) },
	})
	if err != nil {
		return nil, fmt.Errorf("plugin manager: watch plugins: %w", err)
	}
	return m, nil
}

func newQueue(name string) workqueue.TypedRateLimitingInterface[string] {
	return workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[string](retryInitial, retryMax),
		workqueue.TypedRateLimitingQueueConfig[string]{Name: name})
}

// enqueue notes that an object changed. After a missed deletion client-go hands
// over a tombstone instead of the object.
func (m *Manager) enqueue(obj any) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		m.work.Add(tombstone.Key)
		return
	}
	if accessor, err := meta.Accessor(obj); err == nil {
		m.work.Add(accessor.GetName())
		m.statuses.Add(accessor.GetName())
	}
}

// Resync looks at every plugin again, for example because the node's labels,
// addresses or pod range changed, or a node went away.
func (m *Manager) Resync() {
	for _, name := range m.informer.GetStore().ListKeys() {
		m.work.Add(name)
		m.statuses.Add(name)
	}
}

// Run manages plugins until ctx ends, then stops them all and returns.
func (m *Manager) Run(ctx context.Context) error {
	m.mu.Lock()
	again := m.ran
	m.ran = true
	m.mu.Unlock()
	if again {
		return errors.New("plugin manager: Run may be called once")
	}

	var wg sync.WaitGroup
	wg.Go(func() { m.informer.RunWithContext(ctx) })
	if cache.WaitForCacheSync(ctx.Done(), m.informer.HasSynced) {
		for range m.opts.Workers {
			wg.Go(func() { drainQueue(ctx, m.log, m.work, m.reconcile) })
		}
		for range statusWriters {
			wg.Go(func() { drainQueue(ctx, m.log, m.statuses, m.writeStatus) })
		}
	}
	<-ctx.Done()
	m.work.ShutDown()
	m.statuses.ShutDown()
	wg.Wait()
	m.stopAll()
	return nil
}

// HasSynced reports whether the objects have been read once.
func (m *Manager) HasSynced() bool { return m.informer.HasSynced() }

// drainQueue handles names until the queue is shut down. One that fails comes
// back with backoff.
func drainQueue(ctx context.Context, log *slog.Logger, queue workqueue.TypedRateLimitingInterface[string], handle func(context.Context, string) error) {
	for {
		name, shutdown := queue.Get()
		if shutdown {
			return
		}
		if err := handle(ctx, name); err != nil && ctx.Err() == nil {
			log.Warn("handling a plugin failed and is tried again", "object", name, "error", err)
			queue.AddRateLimited(name)
		} else {
			queue.Forget(name)
		}
		queue.Done(name)
	}
}

func (m *Manager) stopAll() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	m.mu.Lock()
	var supervisors []*host.Supervisor
	for _, p := range m.managed {
		if p.supervisor != nil {
			supervisors = append(supervisors, p.supervisor)
		}
	}
	m.mu.Unlock()
	var wg sync.WaitGroup
	for _, s := range supervisors {
		wg.Go(func() { _ = s.Stop(ctx) })
	}
	wg.Wait()
}

// object returns an object from the cache, or nil. It must not be changed.
func (m *Manager) object(name string) *pintlev1.Plugin {
	obj, exists, err := m.informer.GetStore().GetByKey(name)
	if err != nil || !exists {
		return nil
	}
	p, ok := obj.(*pintlev1.Plugin)
	if !ok {
		return nil
	}
	return p
}
