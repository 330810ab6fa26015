package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/volume"
)

// Every user of the pod's containers may write, as in Kubernetes.
const mode fs.FileMode = 0o777

// emptyDir keeps the data in the directory "data" of the target, so that a
// removal which was interrupted is told from data that is in use.
type emptyDir struct{}

func dataDir(target string) string { return filepath.Join(target, "data") }

func (emptyDir) Mount(_ context.Context, req *volume.MountRequest) (*volume.MountResponse, error) {
	var source corev1.EmptyDirVolumeSource
	if err := volume.DecodeSource(req, &source); err != nil {
		return nil, err
	}
	dir := dataDir(req.GetTargetPath())
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("making the directory of emptyDir %q: %w", req.GetVolumeName(), err)
	}
	switch source.Medium {
	case corev1.StorageMediumDefault:
	case corev1.StorageMediumMemory:
		if err := mountTmpfs(dir, source); err != nil {
			return nil, err
		}
	default:
		return nil, errs.InvalidArgument("emptyDir.medium %q of volume %q is not served: use \"\" for disk or Memory", source.Medium, req.GetVolumeName())
	}
	if err := own(dir, req.FsGroup); err != nil {
		return nil, fmt.Errorf("setting the owner of emptyDir %q: %w", req.GetVolumeName(), err)
	}
	return &volume.MountResponse{Path: dir}, nil
}

func (emptyDir) Unmount(_ context.Context, req *volume.UnmountRequest) (*volume.UnmountResponse, error) {
	dir := dataDir(req.GetTargetPath())
	for {
		mounted, err := isMounted(dir)
		if err != nil {
			return nil, err
		}
		if !mounted {
			break
		}
		if err := unix.Unmount(dir, unix.UMOUNT_NOFOLLOW); err != nil {
			return nil, errs.Unavailable("unmounting the tmpfs at %s: %v", dir, err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, errs.Unavailable("removing the data at %s: %v", dir, err)
	}
	return &volume.UnmountResponse{}, nil
}

// mountTmpfs mounts once; a size limit of nothing is the kernel's default, half
// of the memory.
func mountTmpfs(dir string, source corev1.EmptyDirVolumeSource) error {
	mounted, err := isMounted(dir)
	if err != nil || mounted {
		return err
	}
	options := fmt.Sprintf("mode=%o", mode)
	if limit := source.SizeLimit; limit != nil && limit.Sign() > 0 {
		options += fmt.Sprintf(",size=%d", limit.Value())
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return errs.FailedPrecondition("mounting a tmpfs at %s: %v", dir, err)
	}
	return nil
}

func isMounted(dir string) (bool, error) {
	mounted, err := mountinfo.Mounted(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for a mount at %s: %w", dir, err)
	}
	return mounted, nil
}

// own sets the mode that the umask may have narrowed and, with a group, makes
// new files inherit it.
func own(dir string, group *int64) error {
	m := mode
	if group != nil {
		if err := os.Chown(dir, -1, int(*group)); err != nil {
			return err
		}
		m |= fs.ModeSetgid
	}
	return os.Chmod(dir, m)
}
