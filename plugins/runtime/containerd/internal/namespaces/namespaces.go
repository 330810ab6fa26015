package namespaces

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Kind is a kind of namespace, named as its file in /proc/<pid>/ns.
type Kind string

const (
	Network Kind = "net"
	IPC     Kind = "ipc"
	UTS     Kind = "uts"
)

func (k Kind) flag() int {
	switch k {
	case Network:
		return unix.CLONE_NEWNET
	case IPC:
		return unix.CLONE_NEWIPC
	case UTS:
		return unix.CLONE_NEWUTS
	default:
		return 0
	}
}

// Options say what to make.
type Options struct {
	// Dir gets one file a namespace, named for its kind. It exists.
	Dir   string
	Kinds []Kind
	// Hostname is set where a UTS namespace is made.
	Hostname string
	// Sysctls are set inside; each must belong to a namespace that is made.
	Sysctls map[string]string
}

// Path returns where a namespace of a directory is pinned.
func Path(dir string, kind Kind) string { return filepath.Join(dir, string(kind)) }

// Pinned says whether the file is the mount of a live namespace.
func Pinned(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.NSFS_MAGIC
}

// Create makes the namespaces and pins them. What is already pinned in Dir is
// replaced. After an error nothing is left.
func Create(o Options) error {
	if len(o.Kinds) == 0 {
		return nil
	}
	if err := onOwnThread(func() error { return create(o) }); err != nil {
		return errors.Join(err, Release(o.Dir))
	}
	return nil
}

// onOwnThread calls f on a thread that ends with it, since f changes it. The
// process's first thread never ends, and is what /proc/self shows; it is not
// used.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// While this goroutine holds it, another one gets another thread.
			done <- onOwnThread(f)
			runtime.UnlockOSThread()
			return
		}
		// Never unlocked: the thread ends with this goroutine.
		done <- f()
	}()
	return <-done
}

func create(o Options) error {
	flags := 0
	for _, kind := range o.Kinds {
		flags |= kind.flag()
	}
	if err := unix.Unshare(flags); err != nil {
		return fmt.Errorf("create namespaces %v: %w", o.Kinds, err)
	}
	for _, kind := range o.Kinds {
		var err error
		switch kind {
		case Network:
			err = loopbackUp()
		case UTS:
			if o.Hostname != "" {
				err = unix.Sethostname([]byte(o.Hostname))
			}
		}
		if err != nil {
			return fmt.Errorf("set up the %s namespace: %w", kind, err)
		}
	}
	for name, value := range o.Sysctls {
		if err := os.WriteFile(sysctlFile(name), []byte(value), 0o644); err != nil {
			return fmt.Errorf("set sysctl %s to %q: %w", name, value, err)
		}
	}
	for _, kind := range o.Kinds {
		if err := pin(kind, Path(o.Dir, kind)); err != nil {
			return err
		}
	}
	return nil
}

// sysctlFile takes both spellings of a name, with dots or with slashes. In the
// first a slash stands for a dot of the name (sysctl.d(5)): net.ipv4.conf.eth0/1.
func sysctlFile(name string) string {
	dot, slash := strings.IndexByte(name, '.'), strings.IndexByte(name, '/')
	if dot >= 0 && (slash < 0 || dot < slash) {
		name = strings.NewReplacer(".", "/", "/", ".").Replace(name)
	}
	return filepath.Join("/proc/sys", filepath.Clean("/"+name))
}

func loopbackUp() error {
	link, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

func pin(kind Kind, path string) error {
	if err := unpin(path); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o600)
	if err != nil {
		return err
	}
	_ = file.Close()
	source := fmt.Sprintf("/proc/thread-self/ns/%s", kind)
	if err := unix.Mount(source, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("pin the %s namespace at %s: %w", kind, path, err)
	}
	return nil
}

func unpin(path string) error {
	for Pinned(path) {
		if err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("let the namespace at %s go: %w", path, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Release lets all namespaces of a directory go. It may be repeated.
func Release(dir string) error {
	var all []error
	for _, kind := range []Kind{Network, IPC, UTS} {
		if err := unpin(Path(dir, kind)); err != nil {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}
