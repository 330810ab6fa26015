package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/sdk/errs"
)

// graceful is how long a mount may take to end by itself.
const graceful = 5 * time.Second

// mountsAt lists what is mounted at a path, without touching it: a stat of a
// mount whose server is dead does not return.
func mountsAt(path string) ([]*mountinfo.Info, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(path))
	if err != nil {
		return nil, fmt.Errorf("reading the list of mounts: %w", err)
	}
	return mounts, nil
}

// detach takes every mount at the mount point away and ends the process that
// serves one. It needs no NFS server.
func (t target) detach(ctx context.Context) error {
	pid, err := t.server()
	if err != nil {
		return err
	}
	for {
		mounts, err := mountsAt(t.mountPoint())
		if err != nil {
			return err
		}
		if len(mounts) == 0 {
			break
		}
		if isKernelClient(mounts[len(mounts)-1].FSType) {
			// Ends requests that wait for a dead server; a mount in use stays.
			_ = unmount(ctx, t.mountPoint(), unix.MNT_FORCE)
		}
		err = unmount(ctx, t.mountPoint(), unix.MNT_DETACH)
		// Where pages are still to be written the kernel waits for the server,
		// but the mount is off the tree.
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, context.DeadlineExceeded) {
			return errs.Unavailable("unmounting %s: %v", t.mountPoint(), err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	if pid == 0 {
		return nil
	}
	return t.endServer(ctx, pid)
}

// unmount returns after graceful or with its context, whatever the kernel does.
// The goroutine lives until the kernel lets it go, which the end of the serving
// process sees to.
func unmount(ctx context.Context, path string, flags int) error {
	ctx, cancel := context.WithTimeout(ctx, graceful)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- unix.Unmount(path, flags|unix.UMOUNT_NOFOLLOW) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
