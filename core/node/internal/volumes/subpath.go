package volumes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// SubPath makes a part of a volume available to one attempt of a container and
// returns where. The path is resolved so that neither ".." nor a symlink that
// the pod planted leads out of the volume, also not while it is looked at:
// openat2 with RESOLVE_BENEATH (Linux 5.6), and a bind mount of what was opened.
func (m *Manager) SubPath(pod *corev1.Pod, container string, attempt uint32, index int, volume, subPath string) (string, error) {
	fd, err := openBeneath(volume, subPath)
	if err != nil {
		return "", fmt.Errorf("failed to prepare subPath for volumeMount: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", err
	}
	dir := filepath.Join(m.PodDir(pod.UID), subPathsDir, container, strconv.FormatUint(uint64(attempt), 10))
	target := filepath.Join(dir, strconv.Itoa(index))
	if err := unmountAll(target); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		err = os.Mkdir(target, 0o750)
	} else {
		err = os.WriteFile(target, nil, 0o640)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	if err := unix.Mount("/proc/self/fd/"+strconv.Itoa(fd), target, "", unix.MS_BIND, ""); err != nil {
		return "", fmt.Errorf("binding subPath %q of the volume: %w", subPath, err)
	}
	return target, nil
}

// openBeneath opens a path below root, making directories where it does not
// exist.
func openBeneath(root, path string) (int, error) {
	if filepath.IsAbs(path) {
		return -1, fmt.Errorf("subPath %q must be relative", path)
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == ".." {
			return -1, fmt.Errorf("subPath %q must not contain '..'", path)
		}
	}
	rootFD, err := unix.Open(root, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: root, Err: err}
	}
	defer func() { _ = unix.Close(rootFD) }()
	var st unix.Stat_t
	if err := unix.Fstat(rootFD, &st); err != nil {
		return -1, err
	}
	how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(rootFD, filepath.Clean(path), how)
	if err == nil || !errors.Is(err, unix.ENOENT) {
		return fd, beneathError(path, err)
	}
	made := ""
	for part := range strings.SplitSeq(filepath.Clean(path), "/") {
		made = filepath.Join(made, part)
		parent, err := unix.Openat2(rootFD, filepath.Dir(made), how)
		if err != nil {
			return -1, beneathError(path, err)
		}
		err = unix.Mkdirat(parent, part, st.Mode&0o7777)
		_ = unix.Close(parent)
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return -1, beneathError(path, err)
		}
	}
	fd, err = unix.Openat2(rootFD, filepath.Clean(path), how)
	return fd, beneathError(path, err)
}

func beneathError(path string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, unix.EXDEV) {
		return fmt.Errorf("subPath %q leads out of the volume", path)
	}
	return &fs.PathError{Op: "open", Path: path, Err: err}
}

// ReleaseSubPaths takes back what older attempts of a container used.
func (m *Manager) ReleaseSubPaths(pod *corev1.Pod, container string, before uint32) error {
	dir := filepath.Join(m.PodDir(pod.UID), subPathsDir, container)
	attempts, _ := os.ReadDir(dir) // absent: nothing to release
	var failed []error
	for _, a := range attempts {
		if n, err := strconv.ParseUint(a.Name(), 10, 32); err == nil && uint32(n) < before {
			failed = append(failed, releaseAttempt(filepath.Join(dir, a.Name())))
		}
	}
	return errors.Join(failed...)
}

func (m *Manager) releaseSubPaths(root string) error {
	containers, _ := os.ReadDir(root) // absent: nothing to release
	for _, c := range containers {
		attempts, err := os.ReadDir(filepath.Join(root, c.Name()))
		if err != nil {
			return err
		}
		for _, a := range attempts {
			if err := releaseAttempt(filepath.Join(root, c.Name(), a.Name())); err != nil {
				return err
			}
		}
	}
	return os.RemoveAll(root)
}

func releaseAttempt(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		target := filepath.Join(dir, e.Name())
		if err := unmountAll(target); err != nil {
			return err
		}
		if err := os.Remove(target); err != nil {
			return err
		}
	}
	return os.Remove(dir)
}
