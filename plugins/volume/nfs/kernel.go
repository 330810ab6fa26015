package main

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/pintle-io/pintle/sdk/errs"
)

func isKernelClient(fsType string) bool { return fsType == "nfs" || fsType == "nfs4" }

// kernelHasClient reports whether the kernel mounts NFS, after an attempt to
// load its module, and the program that mount(8) needs for it is there.
func kernelHasClient(ctx context.Context) bool {
	if _, err := exec.LookPath("mount.nfs"); err != nil {
		return false
	}
	if kernelKnowsNFS() {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "modprobe", "-q", "nfs").Run() == nil && kernelKnowsNFS()
}

func kernelKnowsNFS() bool {
	text, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return false
	}
	return slices.ContainsFunc(strings.Split(string(text), "\n"), func(line string) bool {
		fields := strings.Fields(line)
		return len(fields) > 0 && isKernelClient(fields[len(fields)-1])
	})
}

// mountWithKernel runs mount(8), which chooses the version with the server.
func (t target) mountWithKernel(ctx context.Context, source export) error {
	options := "nosuid,nodev,retry=0" // retry: minutes, see nfs(5)
	if source.readOnly {
		options += ",ro"
	}
	mount := exec.CommandContext(ctx, "mount", "-t", "nfs", "-o", options, "--", source.String(), t.mountPoint())
	// A mount that the kernel holds does not die of the kill.
	mount.WaitDelay = time.Second
	output, err := mount.CombinedOutput()
	if err == nil {
		return nil
	}
	said := strings.TrimSpace(string(output))
	switch {
	case ctx.Err() != nil:
		return unavailable(source, ctx.Err())
	case strings.Contains(said, "No such file or directory"):
		return notExported(source, said)
	case strings.Contains(said, "access denied"), strings.Contains(said, "Permission denied"):
		return denied(source, said)
	}
	return errs.Unavailable("mounting %s from NFS server %s: %v: %s", source.path, source.server, err, said)
}

func notExported(source export, why any) error {
	return errs.NotFound("NFS server %s does not export %s: %v", source.server, source.path, why).
		WithHint("showmount -e " + source.server + " lists what it exports")
}

func denied(source export, why any) error {
	return errs.PermissionDenied("NFS server %s does not let this node mount %s: %v", source.server, source.path, why).
		WithHint("showmount -e " + source.server + " lists what it exports, and to whom")
}
