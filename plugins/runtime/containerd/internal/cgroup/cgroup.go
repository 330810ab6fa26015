package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/cgroups/v3"
	"github.com/containerd/cgroups/v3/cgroup1"
	"github.com/containerd/cgroups/v3/cgroup2"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

const root = "/sys/fs/cgroup"

// removeAttempts bounds the wait for the processes of a removed cgroup to be
// gone, at removeInterval each.
const (
	removeAttempts = 50
	removeInterval = 10 * time.Millisecond
)

// Mode names the cgroups of this machine: "v1", "v2", "hybrid" or "none".
func Mode() string {
	switch cgroups.Mode() {
	case cgroups.Unified:
		return "v2"
	case cgroups.Hybrid:
		return "hybrid"
	case cgroups.Legacy:
		return "v1"
	default:
		return "none"
	}
}

func unified() bool { return cgroups.Mode() == cgroups.Unified }

// Check says whether a path can be used as a pod's cgroup.
func Check(group string) error {
	if !path.IsAbs(group) || path.Clean(group) != group || group == "/" {
		return fmt.Errorf("cgroup %q must be a clean absolute path below the root", group)
	}
	return nil
}

// Create makes a cgroup with its ancestors and sets its limits. It may exist.
func Create(group string, resources *specs.LinuxResources) error {
	if unified() {
		if _, err := cgroup2.NewManager(root, group, cgroup2.ToResources(resources)); err != nil {
			return fmt.Errorf("create cgroup %s: %w", group, err)
		}
		return nil
	}
	if _, err := cgroup1.New(cgroup1.StaticPath(group), resources); err != nil {
		return fmt.Errorf("create cgroup %s: %w", group, err)
	}
	return nil
}

// Remove kills what is left in a cgroup and removes it with all below it.
// Removing one that does not exist succeeds.
func Remove(group string) error {
	var all []error
	for _, dir := range directories(group) {
		if err := removeTree(dir); err != nil {
			all = append(all, fmt.Errorf("remove cgroup %s: %w", dir, err))
		}
	}
	return errors.Join(all...)
}

// RemoveEmptyAncestors removes the ancestors of a cgroup that nothing uses.
func RemoveEmptyAncestors(group string) {
	for parent := path.Dir(group); parent != "/"; parent = path.Dir(parent) {
		for _, dir := range directories(parent) {
			// EBUSY and ENOTEMPTY mean that somebody uses it.
			_ = syscall.Rmdir(dir)
		}
	}
}

// directories returns where a cgroup is in each hierarchy. Hierarchies that
// are mounted together show up once per controller, which does no harm.
func directories(group string) []string {
	if unified() {
		return []string{filepath.Join(root, group)}
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil
	}
	var dirs []string
	for _, entry := range entries {
		if entry.IsDir() {
			dirs = append(dirs, filepath.Join(root, entry.Name(), group))
		}
	}
	return dirs
}

func removeTree(dir string) error {
	var err error
	for range removeAttempts {
		if err = removeOnce(dir); err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		time.Sleep(removeInterval)
	}
	return err
}

func removeOnce(dir string) error {
	// The usual case: nothing below, nothing inside.
	err := syscall.Rmdir(dir)
	if err == nil || errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	entries, readErr := os.ReadDir(dir)
	if readErr != nil {
		return readErr
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeOnce(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	for _, pid := range processes(dir) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return syscall.Rmdir(dir)
}

func processes(dir string) []int {
	data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil
	}
	var pids []int
	for _, field := range strings.Fields(string(data)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 1 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// OOMKills returns how many processes of a cgroup the kernel has killed for
// memory: "oom_kill" in memory.oom_control (v1, since Linux 4.13) or
// memory.events (v2). It is 0 where the cgroup is gone.
func OOMKills(group string) uint64 {
	file := filepath.Join(root, "memory", group, "memory.oom_control")
	if unified() {
		file = filepath.Join(root, group, "memory.events")
	}
	return counter(file, "oom_kill")
}

// counter reads one "key value" line of a flat keyed cgroup file.
func counter(file, key string) uint64 {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok && name == key {
			n, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}
