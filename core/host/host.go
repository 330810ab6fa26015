package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// Spec says which plugin to run.
type Spec struct {
	// Type and Name must be what the plugin says of itself.
	Type pluginv1.PluginType
	Name string
	// Executable is an absolute path.
	Executable string
	// SHA256 of the executable in hexadecimal; empty means any.
	SHA256 string
	// Config is JSON, or empty.
	Config []byte
	// Node is set for plugins of a node.
	Node *pluginv1.NodeInfo
	// SchedulerName is set for a scheduler: the spec.schedulerName of its pods.
	SchedulerName string
	// Env is added to the environment, each "KEY=value".
	Env []string
}

// ID names the plugin in messages and logs: "volume/nfs".
func (s Spec) ID() string { return plugin.TypeName(s.Type) + "/" + s.Name }

// Options configures a Host. RunDir is required; a zero elsewhere means the
// default.
type Options struct {
	// RunDir holds sockets and the records of running processes. It is made
	// with mode 0700 and belongs to this Host alone. At most maxRunDir bytes,
	// because the kernel bounds the paths of sockets.
	RunDir string
	Logger *slog.Logger
	// Metrics is where the host's metrics are registered, or nil.
	Metrics prometheus.Registerer
	Clock   clock.WithTicker

	// HandshakeTimeout bounds the time from start to a standing connection.
	HandshakeTimeout time.Duration
	// ConfigureTimeout bounds Describe, Configure and the first Health
	// together.
	ConfigureTimeout time.Duration
	// HealthInterval is the time between health checks, HealthTimeout the
	// deadline of one, and HealthFailures how many in a row make a hang.
	HealthInterval time.Duration
	HealthTimeout  time.Duration
	HealthFailures int
	// StopTimeout is how long a plugin has to exit after it was asked.
	StopTimeout time.Duration

	Backoff Backoff
	Logs    LogLimits
}

// maxRunDir leaves room in the 108 bytes of sun_path (unix(7)) for
// "/plugin-dir1234567890/plugin1234567890".
const maxRunDir = 64

func (o *Options) setDefaults() {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	orDuration(&o.HandshakeTimeout, 30*time.Second)
	orDuration(&o.ConfigureTimeout, time.Minute)
	orDuration(&o.HealthInterval, 5*time.Second)
	orDuration(&o.HealthTimeout, 5*time.Second)
	orDuration(&o.StopTimeout, plugin.CloseTimeout+2*time.Second)
	if o.HealthFailures == 0 {
		o.HealthFailures = 3
	}
	o.Backoff.setDefaults()
	o.Logs.setDefaults()
}

func orDuration(d *time.Duration, or time.Duration) {
	if *d == 0 {
		*d = or
	}
}

// Host runs plugins.
type Host struct {
	opts    Options
	log     *slog.Logger
	spawner *spawner
	metrics *metrics
	lock    *os.File

	mu          sync.Mutex
	closed      bool
	instances   map[*Instance]struct{}
	supervisors map[*Supervisor]struct{}
}

// New makes RunDir, clears away what a killed predecessor left in it, and
// returns a Host. A second Host on the
// same RunDir is refused.
func New(opts Options) (*Host, error) {
	opts.setDefaults()
	if !filepath.IsAbs(opts.RunDir) || len(opts.RunDir) > maxRunDir {
		return nil, fmt.Errorf("plugin host: run directory %q must be an absolute path of at most %d bytes: choose a shorter one", opts.RunDir, maxRunDir)
	}
	if err := os.MkdirAll(opts.RunDir, 0o700); err != nil {
		return nil, fmt.Errorf("plugin host: make the run directory: %w", err)
	}
	// MkdirAll leaves the mode of a directory that existed.
	if err := os.Chmod(opts.RunDir, 0o700); err != nil {
		return nil, fmt.Errorf("plugin host: protect the run directory: %w", err)
	}
	lock, err := lockRunDir(opts.RunDir)
	if err != nil {
		return nil, fmt.Errorf("plugin host: lock the run directory: %w", err)
	}
	h, err := open(opts)
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	h.lock = lock
	return h, nil
}

func open(opts Options) (*Host, error) {
	if err := clearStale(opts.RunDir, opts.Logger); err != nil {
		return nil, fmt.Errorf("plugin host: clear the run directory: %w", err)
	}
	m, err := newMetrics(opts.Metrics)
	if err != nil {
		return nil, fmt.Errorf("plugin host: register metrics: %w", err)
	}
	return &Host{
		opts:        opts,
		log:         opts.Logger,
		spawner:     newSpawner(),
		metrics:     m,
		instances:   map[*Instance]struct{}{},
		supervisors: map[*Supervisor]struct{}{},
	}, nil
}

// logLevel names the least severe level that the host's logger takes, so that
// plugins don't send what nobody reads.
func (h *Host) logLevel() string {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn} {
		if h.log.Enabled(context.Background(), level) {
			return strings.ToLower(level.String())
		}
	}
	return strings.ToLower(slog.LevelError.String())
}

var errClosed = errors.New("the plugin host is closed")

// add registers a new instance, unless the host is closed.
func (h *Host) add(i *Instance) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errClosed
	}
	h.instances[i] = struct{}{}
	return nil
}

func (h *Host) remove(i *Instance) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.instances, i)
}

// Close stops all supervisors and instances and waits until every process is
// gone. What does not stop by itself before ctx ends is killed.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	first := !h.closed
	h.closed = true
	supervisors := make([]*Supervisor, 0, len(h.supervisors))
	for s := range h.supervisors {
		supervisors = append(supervisors, s)
	}
	h.mu.Unlock()

	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed []error
	stop := func(f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, err)
			}
		})
	}
	for _, s := range supervisors {
		stop(s.Stop)
	}
	wg.Wait()

	h.mu.Lock()
	instances := make([]*Instance, 0, len(h.instances))
	for i := range h.instances {
		instances = append(instances, i)
	}
	h.mu.Unlock()
	for _, i := range instances {
		stop(i.Stop)
	}
	wg.Wait()
	if first {
		h.spawner.close()
		h.metrics.unregister()
		_ = h.lock.Close()
	}
	return errors.Join(failed...)
}
