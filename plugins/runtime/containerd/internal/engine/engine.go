package engine

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/seccomp"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/runtime"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/cgroup"
	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/daemon"
	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/keeper"
)

// Engine is the runtime. Configure must have succeeded before any other call.
type Engine struct {
	logger *slog.Logger

	config  Config
	files   files
	daemon  *daemon.Daemon
	client  *containerd.Client
	version string
	// imageRoot is where the snapshotter keeps its files.
	snapshotter string
	imageRoot   string
	oomFloor    int
	warnings    []string

	table  *table
	verbs  keyedMutex
	feed   feed
	images *imageIndex
	output *outputOwner
	keeper *keeper.Client

	// cgroupsNoted are the directories of pods' cgroups that leave must know,
	// cgroupUsers the sandboxes that have a cgroup.
	cgroupsMu    sync.Mutex
	cgroupsNoted map[string]bool
	cgroupUsers  map[string]map[string]bool

	// ctx ends with Close; work counts the goroutines that end with it.
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	closeOnce sync.Once
	closeErr  error

	// first is about the first comparison with containerd.
	first watching
	// loaded and leftAlone belong to the goroutine of watch.
	loaded    bool
	leftAlone int

	healthMu sync.Mutex
	health   error
}

var (
	_ runtime.Runtime      = (*Engine)(nil)
	_ plugin.Configurer    = (*Engine)(nil)
	_ plugin.HealthChecker = (*Engine)(nil)
)

// New returns an engine that logs with slog's default logger.
func New() *Engine {
	e := &Engine{}
	e.reset()
	return e
}

// reset makes the engine as new.
func (e *Engine) reset() {
	e.logger = slog.Default()
	e.config, e.warnings = Config{}, nil
	e.table = newTable()
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.first = watching{done: make(chan struct{})}
	e.loaded, e.leftAlone = false, 0
	e.cgroupsNoted, e.cgroupUsers = nil, nil
	e.setHealth(errs.Unavailable("the plugin is not configured yet"))
}

// Configure finds containerd and what runs there. It returns once everything
// that was there before is known again. After an error it may be repeated.
func (e *Engine) Configure(ctx context.Context, req *plugin.ConfigureRequest) error {
	err := e.configure(ctx, req)
	if err != nil {
		if closeErr := e.close(); closeErr != nil {
			e.logger.Warn("can't take back a configuration that failed", "err", closeErr)
		}
		e.reset()
	}
	return err
}

func (e *Engine) configure(ctx context.Context, req *plugin.ConfigureRequest) error {
	if err := plugin.DecodeConfig(req, &e.config); err != nil {
		return err
	}
	if err := e.config.complete(); err != nil {
		return err
	}
	node := req.GetNode()
	if node.GetStateDir() == "" || node.GetRunDir() == "" {
		return errs.InvalidArgument("the node gives no state_dir or no run_dir; a runtime needs both")
	}
	if os.Geteuid() != 0 {
		return errs.FailedPrecondition("running containers needs root").WithHint("start it as root, for instance with sudo")
	}
	if err := e.Open(ctx, node.GetStateDir(), node.GetRunDir()); err != nil {
		return err
	}
	e.work.Go(e.watch)
	return e.waitWatching(ctx)
}

// Open connects to containerd, without looking at what runs there.
func (e *Engine) Open(ctx context.Context, stateDir, runDir string) error {
	e.files = files{state: stateDir, run: runDir}
	if err := e.files.make(); err != nil {
		return errs.FailedPrecondition("make the plugin's directories: %w", err)
	}
	found, err := daemon.Find(ctx, e.daemonOptions())
	if err != nil {
		return err
	}
	e.daemon, e.version = found, found.Version
	e.client, err = containerd.New(found.Address, containerd.WithDefaultNamespace(e.config.Namespace))
	if err != nil {
		return errs.Unavailable("connect to containerd at %s: %w", found.Address, err)
	}
	e.images = newImageIndex(e)
	e.output = newOutputOwner(e.files.outputLock())
	e.keeper = keeper.New(runDir)
	e.oomFloor = lowestOOMScore()
	if e.oomFloor > oomScoreMin {
		e.warnings = append(e.warnings, fmt.Sprintf("oom_score_adj can't be set below %d on this machine; containers that ask for less get %d", e.oomFloor, e.oomFloor))
	}
	if !seccomp.IsEnabled() {
		e.warnings = append(e.warnings, "the kernel has no seccomp; containers run without a profile")
	}
	if cgroup.Mode() == "none" {
		return errs.FailedPrecondition("no cgroups are mounted at /sys/fs/cgroup")
	}
	if err := e.createNamespace(ctx); err != nil {
		return err
	}
	return e.chooseSnapshotter(ctx)
}

func (e *Engine) daemonOptions() daemon.Options {
	return daemon.Options{Address: e.config.Address, Own: e.config.OwnDaemon, StateDir: e.files.state, RunDir: e.files.run}
}

func (e *Engine) createNamespace(ctx context.Context) error {
	err := e.client.NamespaceService().Create(ctx, e.config.Namespace, nil)
	if err != nil && !errs.Is(classify(err, ""), errs.ClassAlreadyExists) {
		return classify(err, "create the namespace %s in containerd", e.config.Namespace)
	}
	return nil
}

// chooseSnapshotter takes overlayfs where this machine can do it.
func (e *Engine) chooseSnapshotter(ctx context.Context) error {
	wanted := []string{"overlayfs", "native"}
	if e.config.Snapshotter != "" {
		wanted = []string{e.config.Snapshotter}
	}
	resp, err := e.client.IntrospectionService().Plugins(ctx, "type==io.containerd.snapshotter.v1")
	if err != nil {
		return classify(err, "list containerd's snapshotters")
	}
	why := map[string]string{}
	for _, name := range wanted {
		for _, p := range resp.Plugins {
			if p.ID != name {
				continue
			}
			if p.InitErr != nil {
				why[name] = p.InitErr.Message
				continue
			}
			e.snapshotter, e.imageRoot = name, p.Exports["root"]
			if len(why) > 0 {
				e.warnings = append(e.warnings, fmt.Sprintf("snapshotter %s is used, which copies layers: %v", name, why))
			}
			return nil
		}
	}
	return errs.FailedPrecondition("containerd has none of the snapshotters %v (%v)", wanted, why)
}

func (e *Engine) snapshots() snapshots.Snapshotter { return e.client.SnapshotService(e.snapshotter) }

// Health says whether containerd answers: the stream of its events tells.
func (e *Engine) Health(context.Context) error {
	e.healthMu.Lock()
	defer e.healthMu.Unlock()
	return e.health
}

func (e *Engine) setHealth(err error) {
	e.healthMu.Lock()
	defer e.healthMu.Unlock()
	e.health = err
}

// Close lets go of everything. Containers run on, and what they write waits in
// the FIFOs.
func (e *Engine) Close() error {
	e.closeOnce.Do(func() { e.closeErr = e.close() })
	return e.closeErr
}

func (e *Engine) close() error {
	e.cancel()
	for _, c := range e.table.containersOf("") {
		c.mu.Lock()
		streams := c.streams
		c.mu.Unlock()
		if streams != nil {
			streams.Stop()
		}
	}
	if e.output != nil {
		e.output.release()
		e.keeper.Close()
	}
	e.work.Wait()
	if e.client == nil {
		return nil
	}
	client := e.client
	e.client = nil
	return client.Close()
}

// Info implements runtime.Runtime.
func (e *Engine) Info(ctx context.Context, _ *runtime.InfoRequest) (*runtime.InfoResponse, error) {
	if err := e.Health(ctx); err != nil {
		return nil, err
	}
	return &runtime.InfoResponse{
		RuntimeName:    "containerd",
		RuntimeVersion: e.version,
		Cgroups:        cgroup.Mode(),
		ImageStorePath: e.imageStorePath(),
		Handlers:       slices.Sorted(maps.Keys(e.config.Handlers)),
		Warnings:       e.warnings,
	}, nil
}

func (e *Engine) imageStorePath() string {
	if e.imageRoot != "" {
		return e.imageRoot
	}
	if e.daemon.Own {
		return filepath.Join(e.files.state, "containerd", "root")
	}
	return "/var/lib/containerd"
}
