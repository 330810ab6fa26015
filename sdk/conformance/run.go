package conformance

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// Options says what to check.
type Options struct {
	// Executable of the plugin.
	Executable string
	// Type that it must be of; unset means whatever it says.
	Type pluginv1.PluginType
	// Config is the configuration that the checks run with, JSON.
	Config []byte
	// Node is given to a plugin of a node. Its directories may be left out.
	Node *pluginv1.NodeInfo
	// Env is added to the environment of the process, each "KEY=value".
	Env []string
	// Select, where set, says which checks to run, by id.
	Select func(id string) bool
	// CheckTimeout bounds one check: DefaultCheckTimeout where zero.
	CheckTimeout time.Duration
	// ExitTimeout is how long a process may take to exit when it should:
	// DefaultExitTimeout where zero.
	ExitTimeout time.Duration
	// Controller is what the checks of a controller need.
	Controller *ControllerOptions
	// Scheduler is what the checks of a scheduler need.
	Scheduler *SchedulerOptions
	// Runtime is what the checks of a runtime need.
	Runtime *RuntimeOptions
	// Volume is what the checks of a volume type need.
	Volume *VolumeOptions
	// OwnNetwork says that this process is in a network namespace of its own,
	// as "unshare --net" makes one, whose links, routes and packet rules may be
	// changed. Without it the checks of networks and proxies are skipped.
	OwnNetwork bool
	// Log receives the standard error of the plugin, or is nil.
	Log io.Writer
}

const (
	// DefaultCheckTimeout bounds one check.
	DefaultCheckTimeout = 2 * time.Minute
	// DefaultExitTimeout is more than plugin.CloseTimeout, which the SDK leaves
	// to an author's Close.
	DefaultExitTimeout = plugin.CloseTimeout + 10*time.Second
)

// Run runs the checks one after the other. The report says all: an executable
// that can't even be started is a failed check, too.
func Run(ctx context.Context, opts Options) Report {
	report := Report{Executable: opts.Executable, Started: time.Now()}
	err := withTarget(ctx, opts, func(t *Target) {
		report.describe(t.description)
		for _, check := range Checks(t.description.GetType()) {
			if ctx.Err() != nil {
				return
			}
			if opts.Select == nil || opts.Select(check.ID) {
				report.Results = append(report.Results, runCheck(ctx, check, t))
			}
		}
	})
	report.add(startCheck, err, time.Since(report.Started))
	if ctx.Err() != nil {
		report.add(Check{ID: "run", Sentence: "The run is complete."}, context.Cause(ctx), 0)
	}
	return report
}

// startCheck stands for what must work before any check can run.
var startCheck = Check{
	ID:       "plugin.start",
	Sentence: "A plugin is an executable that answers the go-plugin handshake and Describe.",
}

// withTarget starts the executable, asks what it is, and calls f.
func withTarget(ctx context.Context, opts Options, f func(*Target)) error {
	path, err := filepath.Abs(opts.Executable)
	if err != nil {
		return err
	}
	opts.Executable = path
	if opts.CheckTimeout == 0 {
		opts.CheckTimeout = DefaultCheckTimeout
	}
	if opts.ExitTimeout == 0 {
		opts.ExitTimeout = DefaultExitTimeout
	}
	// A short path: those of sockets have at most 107 bytes.
	dir, err := os.MkdirTemp("", "pc")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	t := &Target{Options: opts, dir: dir}
	if t.description, err = firstDescribe(ctx, t); err != nil {
		return err
	}
	defer t.stop()
	if opts.OwnNetwork && onNetwork(t.description.GetType()) {
		if t.site, err = newSite(opts.Node, dir); err != nil {
			return fmt.Errorf("make the network that checks need: %w", err)
		}
	}
	f(t)
	return nil
}

func firstDescribe(ctx context.Context, t *Target) (*pluginv1.DescribeResponse, error) {
	p, err := t.Launch(ctx)
	if err != nil {
		return nil, err
	}
	defer p.Kill()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	d, err := p.Plugin().Describe(ctx, &pluginv1.DescribeRequest{})
	if err != nil {
		return nil, fmt.Errorf("Describe: %w%s", err, p.stderr.quote())
	}
	if want := t.Options.Type; want != pluginv1.PluginType_PLUGIN_TYPE_UNSPECIFIED && want != d.GetType() {
		return nil, fmt.Errorf("it is a plugin of type %s, not %s", d.GetType(), want)
	}
	return d, nil
}

// runCheck runs one check within its time. A panic is the check's own bug and
// fails it.
func runCheck(ctx context.Context, check Check, t *Target) (result Result) {
	ctx, cancel := context.WithTimeout(ctx, t.Options.CheckTimeout)
	defer cancel()
	begin := time.Now()
	defer func() {
		if p := recover(); p != nil {
			result = newResult(check, fmt.Errorf("the check panicked: %v\n%s", p, debug.Stack()), time.Since(begin))
		}
	}()
	err := check.Run(ctx, t)
	return newResult(check, err, time.Since(begin))
}
