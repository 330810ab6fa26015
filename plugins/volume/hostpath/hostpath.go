package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/volume"
)

// Modes of what is created, as documented for hostPath:
// https://kubernetes.io/docs/concepts/storage/volumes/#hostpath-volume-types
const (
	directoryMode = 0o755
	fileMode      = 0o644
)

// hostPath has nothing to take back: what it gives is the node's.
type hostPath struct{}

func (hostPath) Mount(_ context.Context, req *volume.MountRequest) (*volume.MountResponse, error) {
	var source corev1.HostPathVolumeSource
	if err := volume.DecodeSource(req, &source); err != nil {
		return nil, err
	}
	if !filepath.IsAbs(source.Path) {
		return nil, errs.InvalidArgument("hostPath.path %q of volume %q is not absolute", source.Path, req.GetVolumeName())
	}
	path := filepath.Clean(source.Path)
	var want corev1.HostPathType
	if source.Type != nil {
		want = *source.Type
	}
	if err := ensure(path, want); err != nil {
		return nil, err
	}
	return &volume.MountResponse{Path: path}, nil
}

func (hostPath) Unmount(context.Context, *volume.UnmountRequest) (*volume.UnmountResponse, error) {
	return &volume.UnmountResponse{}, nil
}

// ensure creates or checks path as its type says.
func ensure(path string, want corev1.HostPathType) error {
	switch want {
	case corev1.HostPathUnset:
		// Whatever is there will do. Where nothing is, the runtimes of Kubernetes
		// make a directory, and manifests count on it.
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err := os.MkdirAll(path, directoryMode); err != nil {
			return errs.FailedPrecondition("hostPath: creating the directory %s: %v", path, err)
		}
		return nil
	case corev1.HostPathDirectoryOrCreate:
		if err := os.MkdirAll(path, directoryMode); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, unix.ENOTDIR) {
			return errs.FailedPrecondition("hostPath: creating the directory %s: %v", path, err)
		}
		return is(path, "directory", fs.FileMode.IsDir)
	case corev1.HostPathFileOrCreate:
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
		if err == nil {
			err = f.Close()
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return errs.FailedPrecondition("hostPath: creating the file %s (its directory must be there): %v", path, err)
		}
		return is(path, "file", fs.FileMode.IsRegular)
	case corev1.HostPathDirectory:
		return is(path, "directory", fs.FileMode.IsDir)
	case corev1.HostPathFile:
		return is(path, "file", fs.FileMode.IsRegular)
	case corev1.HostPathSocket:
		return is(path, "socket", func(m fs.FileMode) bool { return m&fs.ModeSocket != 0 })
	case corev1.HostPathCharDev:
		return is(path, "character device", func(m fs.FileMode) bool { return m&fs.ModeCharDevice != 0 })
	case corev1.HostPathBlockDev:
		return is(path, "block device", func(m fs.FileMode) bool {
			return m&fs.ModeDevice != 0 && m&fs.ModeCharDevice == 0
		})
	}
	return errs.InvalidArgument("hostPath.type %q is not known: use DirectoryOrCreate, Directory, FileOrCreate, File, Socket, CharDevice or BlockDevice", want)
}

// is checks the type of what is at path, following links as the mount will.
func is(path, what string, ok func(fs.FileMode) bool) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errs.NotFound("hostPath type check failed: %s does not exist, a %s is wanted", path, what)
	case err != nil:
		return errs.FailedPrecondition("hostPath type check failed: %v", err)
	case !ok(info.Mode()):
		return errs.FailedPrecondition("hostPath type check failed: %s is not a %s", path, what)
	}
	return nil
}
