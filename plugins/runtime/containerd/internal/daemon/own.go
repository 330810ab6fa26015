package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pintle-io/pintle/sdk/errs"
)

const (
	startTimeout  = 20 * time.Second
	startInterval = 20 * time.Millisecond
	stopTimeout   = 10 * time.Second
	// maxSocketPath is sizeof(sockaddr_un.sun_path) less its end: unix(7).
	maxSocketPath = 107
)

// own is a containerd that the plugin starts.
type own struct {
	root, state, address, config, pidFile, logFile string
}

func newOwn(o Options) *own {
	return &own{
		root:    join(o.StateDir, "root"),
		logFile: join(o.StateDir, "containerd.log"),
		state:   join(o.RunDir, "state"),
		address: join(o.RunDir, "containerd.sock"),
		config:  join(o.RunDir, "config.toml"),
		pidFile: join(o.RunDir, "process.json"),
	}
}

// exists says whether there was one before.
func (d *own) exists() bool {
	_, err := os.Stat(d.root)
	return err == nil
}

// ensure returns the version of the running one, starting it where needed.
func (d *own) ensure(ctx context.Context) (string, error) {
	if len(d.address) > maxSocketPath {
		return "", errs.FailedPrecondition("the socket %s has a path of more than %d bytes, which Linux does not allow", d.address, maxSocketPath).
			WithHint("use a shorter run directory")
	}
	if version, err := Probe(ctx, d.address); err == nil {
		return version, nil
	}
	if err := lookPrograms(); err != nil {
		return "", err
	}
	// One that runs and does not answer would fight the new one for its files.
	if err := d.stopProcess(); err != nil {
		return "", err
	}
	exited, err := d.start()
	if err != nil {
		return "", wrap(err, "start containerd")
	}
	return d.waitReady(ctx, exited)
}

// process identifies one process: a process ID alone is used again.
type process struct {
	PID   int    `json:"pid"`
	Start string `json:"start"`
}

func (d *own) start() (<-chan error, error) {
	for _, dir := range []string{d.root, d.state} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(d.config, []byte(d.configText()), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(d.logFile)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command("containerd", "--config", d.config, "--log-level", "warn")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/"
	cmd.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, "PINTLE_") || strings.HasPrefix(entry, "PLUGIN_")
	})
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	exited := make(chan error, 1)
	// Reaps it where it ends before the plugin does; else init does.
	go func() { exited <- cmd.Wait() }()
	data, err := json.Marshal(process{PID: cmd.Process.Pid, Start: startTime(cmd.Process.Pid)})
	if err == nil {
		err = os.WriteFile(d.pidFile, data, 0o600)
	}
	if err != nil {
		_ = cmd.Process.Kill()
		return nil, err
	}
	return exited, nil
}

// configText is in version 2 of the format, which 1.6 and 2.x read. What is
// disabled serves others (Kubernetes' CRI), needs what may not be there, or
// would make directories outside of ours (opt).
func (d *own) configText() string {
	return fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = [
  "io.containerd.grpc.v1.cri",
  "io.containerd.cri.v1.images",
  "io.containerd.cri.v1.runtime",
  "io.containerd.internal.v1.opt",
  "io.containerd.internal.v1.tracing",
  "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = %q
`, d.root, d.state, d.address)
}

func (d *own) waitReady(ctx context.Context, exited <-chan error) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ticker := time.NewTicker(startInterval)
	defer ticker.Stop()
	for {
		select {
		case err := <-exited:
			return "", errs.FailedPrecondition("containerd ended as soon as it was started (%v); the end of %s:\n%s", err, d.logFile, tail(d.logFile)).
				WithReason("ContainerdFailed")
		case <-ctx.Done():
			return "", errs.FailedPrecondition("containerd was started and did not answer within %s; the end of %s:\n%s", startTimeout, d.logFile, tail(d.logFile)).
				WithReason("ContainerdFailed")
		case <-ticker.C:
			if version, err := Probe(ctx, d.address); err == nil {
				return version, nil
			}
		}
	}
}

// tail returns the end of a log, for an error.
func tail(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	const size = 2 << 10
	if info, err := file.Stat(); err == nil && info.Size() > size {
		_, _ = file.Seek(-size, io.SeekEnd)
	}
	data, _ := io.ReadAll(io.LimitReader(file, size))
	return strings.TrimSpace(string(data))
}

// Stop ends a containerd of our own and removes its files. Containers must be
// gone before. It succeeds where there is none.
func Stop(o Options) error {
	d := newOwn(o)
	if err := d.stopProcess(); err != nil {
		return err
	}
	if err := d.endShims(); err != nil {
		return err
	}
	for _, dir := range []string{join(o.RunDir), join(o.StateDir)} {
		if err := unmountBelow(dir); err != nil {
			return wrap(err, "remove containerd's files")
		}
		if err := os.RemoveAll(dir); err != nil {
			return wrap(err, "remove containerd's files")
		}
	}
	return nil
}

func (d *own) stopProcess() error {
	pid, ok := d.running()
	if !ok {
		return nil
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := syscall.Kill(pid, signal); err != nil && err != syscall.ESRCH {
			return fmt.Errorf("stop containerd (process %d): %w", pid, err)
		}
		for deadline := time.Now().Add(stopTimeout); time.Now().Before(deadline); time.Sleep(startInterval) {
			if _, ok := d.running(); !ok {
				return nil
			}
		}
	}
	return fmt.Errorf("stop containerd: process %d does not end", pid)
}

func (d *own) running() (pid int, ok bool) {
	data, err := os.ReadFile(d.pidFile)
	if err != nil {
		return 0, false
	}
	var p process
	if json.Unmarshal(data, &p) != nil || p.PID <= 1 {
		return 0, false
	}
	start := startTime(p.PID)
	return p.PID, start != "" && start == p.Start
}

// startTime is when a process began, in clock ticks since boot, and empty where
// it is gone or a zombie: field 22 of /proc/<pid>/stat, proc_pid_stat(5).
func startTime(pid int) string {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return ""
	}
	// The command in field 2 may hold spaces and parentheses.
	end := strings.LastIndexByte(string(data), ')')
	if end < 0 {
		return ""
	}
	fields := strings.Fields(string(data)[end+1:])
	if len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}

// Revive starts a containerd of our own again where it does not answer.
func (d *Daemon) Revive(ctx context.Context, o Options) error {
	_, err := newOwn(o).ensure(ctx)
	return err
}
