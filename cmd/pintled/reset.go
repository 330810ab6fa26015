package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/core/host"
	"github.com/pintle-io/pintle/core/host/manager"
	"github.com/pintle-io/pintle/core/node"
	"github.com/pintle-io/pintle/core/node/hosted"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// stopTimeout is how long a running pintled may take to end before it is
// killed.
const stopTimeout = 30 * time.Second

func newResetCommand() *cobra.Command {
	var p paths
	var l logOptions
	cmd := &cobra.Command{
		Use:   "reset",
		Short: "End everything of Pintle on this machine and take it back",
		Long: `End everything of Pintle on this machine and take it back.

It stops a running pintled, ends the pods, and removes what was made for them and
for the cluster: containers, mounts, namespaces, packet rules, links, and the
state and run directories with all that is in them. It can't be undone.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := l.start(os.Stderr)
			if err != nil {
				return err
			}
			if err := stopRunning(cmd.Context(), &p, log); err != nil {
				return err
			}
			if _, err := os.Stat(p.state); errors.Is(err, fs.ErrNotExist) {
				return os.RemoveAll(p.run)
			}
			lock, err := p.prepare()
			if err != nil {
				return err
			}
			defer lock.Close()
			if err := leave(cmd.Context(), &p, log); err != nil {
				return fmt.Errorf("%w\nnothing was removed from %s: mend that and run reset again", err, p.state)
			}
			return errors.Join(removeDir(p.run), removeDir(p.state))
		},
	}
	p.addTo(cmd.Flags())
	l.addTo(cmd.Flags())
	return cmd
}

// stopRunning ends the pintled that holds the state.
func stopRunning(ctx context.Context, p *paths, log *slog.Logger) error {
	held := func() bool {
		file, err := os.Open(p.pid())
		if err != nil {
			return false
		}
		defer file.Close()
		return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
	}
	if !held() {
		return nil
	}
	content, err := os.ReadFile(p.pid())
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil || pid <= 1 {
		return fmt.Errorf("%s is held by a process that it does not name (%q): end it by hand", p.pid(), content)
	}
	log.Info("stopping pintled", "pid", pid)
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stopping pintled, process %d: %w", pid, err)
		}
		for end := time.Now().Add(stopTimeout); time.Now().Before(end); {
			if !held() {
				return nil
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return fmt.Errorf("pintled, process %d, does not end", pid)
}

// leave runs the node's plugins once more to take back what they made.
func leave(ctx context.Context, p *paths, log *slog.Logger) error {
	specs, err := recordedPlugins(p)
	if err != nil {
		return err
	}
	plugins, err := host.New(host.Options{RunDir: filepath.Join(p.run, "plugins"), Logger: log})
	if err != nil {
		return err
	}
	found := hosted.New()
	for _, spec := range specs {
		if err := errors.Join(os.MkdirAll(spec.Node.GetStateDir(), 0o700), os.MkdirAll(spec.Node.GetRunDir(), 0o700)); err != nil {
			return err
		}
		instance, err := plugins.Start(ctx, spec)
		if err != nil {
			// What it made stays, and is found below.
			log.Error("a plugin that ran here can't be started to clear up", "plugin", spec.ID(), "err", err)
			continue
		}
		found.OnChange(manager.Change{Type: spec.Type, Name: spec.Name, Instance: instance, Release: func() {}})
	}
	err = node.Leave(ctx, node.LeaveOptions{Plugins: found, RootDir: p.node(), Logger: log})
	closePlugins(plugins, log)
	for _, spec := range specs {
		if spec.Type == pluginv1.PluginType_PLUGIN_TYPE_RUNTIME {
			err = errors.Join(err, leaveRuntime(ctx, spec))
		}
	}
	return err
}

// leaveRuntime ends what a runtime keeps running beside its plugin, such as a
// containerd of its own. Its executable does that itself when it is called with
// "leave", its two directories and the file of its configuration. A runtime
// whose directories are empty has nothing to end.
func leaveRuntime(ctx context.Context, spec host.Spec) error {
	state, run := spec.Node.GetStateDir(), spec.Node.GetRunDir()
	if isEmpty(state) && isEmpty(run) {
		return nil
	}
	args := []string{"leave", state, run}
	if len(spec.Config) > 0 {
		config, err := os.CreateTemp("", "pintle-runtime-*.json")
		if err != nil {
			return err
		}
		defer os.Remove(config.Name())
		if _, err := config.Write(spec.Config); err != nil {
			return err
		}
		if err := config.Close(); err != nil {
			return err
		}
		args = append(args, config.Name())
	}
	if out, err := exec.CommandContext(ctx, spec.Executable, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ending what %s keeps running: %w: %s", spec.ID(), err, out)
	}
	return nil
}

func isEmpty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err != nil || len(entries) == 0
}

// removeDir removes a directory. What is still mounted below it may be somebody's
// data: it is unmounted first, never walked into.
func removeDir(dir string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	lines := slices.Collect(strings.Lines(string(mounts)))
	for _, line := range slices.Backward(lines) { // The last mounted is on top.
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			if err := unix.Unmount(f[4], unix.UMOUNT_NOFOLLOW); err != nil {
				return fmt.Errorf("%s is still mounted, and %s was not removed: %w", f[4], dir, err)
			}
		}
	}
	return os.RemoveAll(dir)
}
