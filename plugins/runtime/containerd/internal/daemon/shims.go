package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// endShims ends the shims that outlived their containers: containerd 1.6
// forgets one whose container was being made when the caller went away.
func (d *own) endShims() error {
	shims := d.shims()
	for _, pid := range shims {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			return fmt.Errorf("end a shim of containerd (process %d): %w", pid, err)
		}
	}
	for deadline := time.Now().Add(stopTimeout); len(shims) > 0 && time.Now().Before(deadline); {
		time.Sleep(startInterval)
		shims = d.shims()
	}
	if len(shims) > 0 {
		return fmt.Errorf("end the shims of containerd: processes %v don't end", shims)
	}
	return nil
}

// shims are the processes that were started to report to this containerd.
func (d *own) shims() []int {
	var found []int
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // The pattern is well-formed.
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // It ended meanwhile.
		}
		argv := strings.Split(string(content), "\x00")
		at := slices.Index(argv, "-address")
		if !strings.HasPrefix(filepath.Base(argv[0]), "containerd-shim") || at < 0 || at+1 == len(argv) || argv[at+1] != d.address {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && startTime(pid) != "" {
			found = append(found, pid)
		}
	}
	return found
}
