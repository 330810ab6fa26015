package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/pintle-io/pintle/plugins/volume/nfs/internal/nfs3"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/volume"
)

const (
	// defaultTimeout is for callers without a deadline.
	defaultTimeout = time.Minute
	// reserve is what is kept of the time for taking a failed mount back and
	// answering with more than "deadline exceeded".
	reserve = 2 * time.Second
)

// nfs keeps no state: everything is in the target and in the kernel.
type nfs struct{}

// within returns a context that ends before the caller's does.
func within(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithTimeout(ctx, defaultTimeout)
	}
	left := time.Until(deadline)
	return context.WithTimeout(ctx, left-min(reserve, left/3))
}

func (nfs) Mount(ctx context.Context, req *volume.MountRequest) (*volume.MountResponse, error) {
	source, err := sourceOf(req)
	if err != nil {
		return nil, err
	}
	t, err := targetOf(req.GetTargetPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errs.FailedPrecondition("the target directory %s of volume %q is not there", req.GetTargetPath(), req.GetVolumeName())
	}
	if err != nil {
		return nil, err
	}
	setup, cancel := within(ctx)
	defer cancel()
	works, err := t.works(setup, source)
	if err != nil {
		return nil, err
	}
	if !works {
		if err := t.release(setup); err != nil {
			return nil, err
		}
		if err := t.mount(setup, source); err != nil {
			// The caller's context: this is what the reserve is for.
			if left := t.release(ctx); left != nil {
				err = errors.Join(err, left)
			}
			return nil, err
		}
	}
	return &volume.MountResponse{Path: t.mountPoint()}, nil
}

func (nfs) Unmount(ctx context.Context, req *volume.UnmountRequest) (*volume.UnmountResponse, error) {
	t, err := targetOf(req.GetTargetPath())
	if errors.Is(err, fs.ErrNotExist) {
		return &volume.UnmountResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := within(ctx)
	defer cancel()
	if err := t.release(ctx); err != nil {
		return nil, err
	}
	return &volume.UnmountResponse{}, nil
}

// target is the directory of one volume.
type target string

// targetOf resolves links, as the kernel does in its list of mounts.
func targetOf(path string) (target, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("looking for the target directory: %w", err)
	}
	return target(real), nil
}

func (t target) mountPoint() string { return filepath.Join(string(t), "mount") }
func (t target) lockFile() string   { return filepath.Join(string(t), "lock") }
func (t target) logFile() string    { return filepath.Join(string(t), "log") }

// works reports whether the volume is mounted and served.
func (t target) works(ctx context.Context, source export) (bool, error) {
	mounts, err := mountsAt(t.mountPoint())
	if err != nil || len(mounts) != 1 {
		return false, err
	}
	if isKernelClient(mounts[0].FSType) {
		return true, nil
	}
	pid, err := t.server()
	if err != nil || pid == 0 {
		return false, err
	}
	// A container that starts now would wait in the mount for a server that is
	// away, and its runtime with it.
	if err := nfs3.Check(ctx, source.server); err != nil {
		return false, unavailable(source, err)
	}
	return true, nil
}

func (t target) mount(ctx context.Context, source export) error {
	if err := os.Mkdir(t.mountPoint(), 0o755); err != nil {
		return fmt.Errorf("making the mount point: %w", err)
	}
	if kernelHasClient(ctx) {
		return t.mountWithKernel(ctx, source)
	}
	return t.startServer(ctx, source)
}

// release takes back whatever is there.
func (t target) release(ctx context.Context) error {
	if err := t.detach(ctx); err != nil {
		return err
	}
	for _, path := range []string{t.mountPoint(), t.logFile(), t.lockFile()} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return errs.Unavailable("cleaning up after the volume: %v", err)
		}
	}
	return nil
}

// unavailable is the error for a server that can't be spoken to.
func unavailable(source export, err error) error {
	return errs.Unavailable("NFS server %s, which should serve %s, does not answer: %v", source.server, source.path, err).
		WithHint("check that the server runs and is reachable from this node on TCP ports 111 and 2049 and that of its mount daemon")
}
