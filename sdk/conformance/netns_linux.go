package conformance

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// netNamespace is a network namespace pinned at a path. nil stands for the one
// that the process itself is in.
type netNamespace struct{ path string }

// newNetNamespace makes a namespace whose loopback link is up.
func newNetNamespace(path string) (*netNamespace, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	file.Close()
	err = onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		own := fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
		if err := unix.Mount(own, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("pin a network namespace: %w", err)
		}
		return ip("link set lo up")
	})
	n := &netNamespace{path: path}
	if err != nil {
		_ = n.remove()
		return nil, err
	}
	return n, nil
}

// do calls f on a thread in the namespace.
func (n *netNamespace) do(f func() error) error {
	if n == nil {
		return f()
	}
	return onOwnThread(func() error {
		fd, err := unix.Open(n.path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open the network namespace %s: %w", n.path, err)
		}
		defer unix.Close(fd)
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the network namespace %s: %w", n.path, err)
		}
		return f()
	})
}

// remove may be called again.
func (n *netNamespace) remove() error {
	if err := unix.Unmount(n.path, unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT {
		return fmt.Errorf("unpin the network namespace %s: %w", n.path, err)
	}
	if err := os.Remove(n.path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// onOwnThread calls f on a thread that ends with it, whatever f did to it.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}
