package volumes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

// Unmount takes all volumes of a pod back, by what its directory says. It is
// idempotent and goes as far as it can.
func (m *Manager) Unmount(ctx context.Context, uid types.UID) error {
	if err := m.releaseSubPaths(filepath.Join(m.PodDir(uid), subPathsDir)); err != nil {
		return err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed []error
	for _, mounted := range m.Mounted(uid) {
		plugin, name, _ := strings.Cut(mounted, "/")
		target := filepath.Join(m.PodDir(uid), volumesDir, plugin, name)
		wg.Go(func() {
			var err error
			if strings.HasPrefix(plugin, ownPrefix) {
				err = releaseOwn(target)
			} else {
				err = m.unmount(ctx, uid, plugin, name, target)
			}
			if err != nil {
				mu.Lock()
				failed = append(failed, fmt.Errorf("UnmountVolume.TearDown failed for volume %q : %w", name, err))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return errors.Join(failed...)
}

func (m *Manager) unmount(ctx context.Context, uid types.UID, name, volume, target string) error {
	plugin, err := m.o.Plugins.Volume(name)
	if errs.Is(err, errs.ClassNotFound) {
		// Its plugin was taken away. Where nothing is left there is nothing to
		// do; else an operator has to bring it back.
		if e := os.Remove(target); e == nil || errors.Is(e, fs.ErrNotExist) {
			return nil
		}
		return errs.FailedPrecondition("the volume plugin %q that mounted it is not installed any more", name).
			WithHint("install the plugin again, so that it can take the volume back")
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err := plugin.Unmount(ctx, &pluginv1.UnmountVolumeRequest{VolumeId: volumeID(uid, volume), TargetPath: target}); err != nil {
		return err
	}
	err = os.Remove(target)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// releaseOwn removes a volume that the node wrote.
func releaseOwn(dir string) error {
	if err := unmountAll(dir); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// unmountAll unmounts everything at dir.
func unmountAll(dir string) error {
	for {
		mounted, err := mountinfo.Mounted(dir)
		if errors.Is(err, fs.ErrNotExist) || (err == nil && !mounted) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return &fs.PathError{Op: "unmount", Path: dir, Err: err}
		}
	}
}

// RemovePodDir removes what is left of a pod. It refuses while a volume is
// there or anything is mounted below.
func (m *Manager) RemovePodDir(uid types.UID) error {
	dir := m.PodDir(uid)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if left := m.Mounted(uid); len(left) > 0 {
		return fmt.Errorf("removing the directory of pod %s: volumes are left: %s", uid, strings.Join(left, ", "))
	}
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return err
	}
	if len(mounts) > 0 {
		return fmt.Errorf("removing the directory of pod %s: %s is still mounted", uid, mounts[0].Mountpoint)
	}
	return os.RemoveAll(dir)
}
