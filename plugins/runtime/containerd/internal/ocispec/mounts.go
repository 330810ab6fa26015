package ocispec

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

// addMounts sets the mounts that every container has, and those of the request,
// which replace one of the first at the same place. Shallow ones come first, so
// that none hides another.
func addMounts(spec *specs.Spec, req *pluginv1.CreateContainerRequest, shm string) error {
	taken := map[string]bool{}
	var own []specs.Mount
	for i, m := range req.GetMounts() {
		mount, err := bind(spec, m)
		if err != nil {
			return errs.InvalidArgument("mounts[%d]: %w", i, err)
		}
		taken[mount.Destination] = true
		own = append(own, mount)
	}
	for _, mount := range defaultMounts(req.GetSecurity().GetPrivileged(), shm) {
		if !taken[mount.Destination] {
			spec.Mounts = append(spec.Mounts, mount)
		}
	}
	slices.SortStableFunc(own, func(a, b specs.Mount) int {
		return cmp.Compare(strings.Count(a.Destination, "/"), strings.Count(b.Destination, "/"))
	})
	spec.Mounts = append(spec.Mounts, own...)
	return nil
}

func defaultMounts(privileged bool, shm string) []specs.Mount {
	access := "ro"
	if privileged {
		access = "rw"
	}
	mounts := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", access}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", access}},
	}
	if shm != "" {
		return append(mounts, specs.Mount{Destination: "/dev/shm", Type: "bind", Source: shm, Options: []string{"rbind", "rprivate", "rw"}})
	}
	return append(mounts, specs.Mount{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}})
}

func bind(spec *specs.Spec, m *pluginv1.Mount) (specs.Mount, error) {
	if !filepath.IsAbs(m.GetContainerPath()) {
		return specs.Mount{}, invalid("container_path", "%q is not an absolute path", m.GetContainerPath())
	}
	source, err := filepath.EvalSymlinks(m.GetHostPath())
	if err != nil {
		return specs.Mount{}, errs.FailedPrecondition("%s, which is to be mounted at %s, is not there: %w", m.GetHostPath(), m.GetContainerPath(), err)
	}
	options := []string{"rbind"}
	switch m.GetPropagation() {
	case pluginv1.Mount_PROPAGATION_UNSPECIFIED, pluginv1.Mount_PROPAGATION_PRIVATE:
		options = append(options, "rprivate")
	case pluginv1.Mount_PROPAGATION_HOST_TO_CONTAINER:
		if err := requirePropagation(source, "shared:", "master:"); err != nil {
			return specs.Mount{}, err
		}
		options = append(options, "rslave")
		if spec.Linux.RootfsPropagation == "" {
			spec.Linux.RootfsPropagation = "rslave"
		}
	case pluginv1.Mount_PROPAGATION_BIDIRECTIONAL:
		if err := requirePropagation(source, "shared:"); err != nil {
			return specs.Mount{}, err
		}
		options = append(options, "rshared")
		spec.Linux.RootfsPropagation = "rshared"
	default:
		return specs.Mount{}, invalid("propagation", "unknown value %d", m.GetPropagation())
	}
	switch {
	case m.GetReadOnly() && m.GetRecursiveReadOnly():
		options = append(options, "rro")
	case m.GetReadOnly():
		options = append(options, "ro")
	case m.GetRecursiveReadOnly():
		return specs.Mount{}, invalid("recursive_read_only", "wants read_only too")
	default:
		options = append(options, "rw")
	}
	return specs.Mount{Destination: filepath.Clean(m.GetContainerPath()), Type: "bind", Source: source, Options: options}, nil
}

// requirePropagation checks that the mount a path lies on can propagate: a
// container runtime can't make up for one that is private on the node.
func requirePropagation(path string, prefixes ...string) error {
	mounts, err := mountinfo.GetMounts(mountinfo.ParentsFilter(path))
	if err != nil {
		return errs.Internal("read the mounts of this process: %w", err)
	}
	var on *mountinfo.Info
	for _, m := range mounts {
		if on == nil || len(m.Mountpoint) >= len(on.Mountpoint) {
			on = m
		}
	}
	if on == nil {
		return errs.Internal("no mount holds %s", path)
	}
	for field := range strings.FieldsSeq(on.Optional) {
		for _, prefix := range prefixes {
			if strings.HasPrefix(field, prefix) {
				return nil
			}
		}
	}
	return errs.FailedPrecondition("%s lies on the mount %s, which does not propagate", path, on.Mountpoint).
		WithHint("mount --make-rshared " + on.Mountpoint)
}

// ShmSize is the size of a pod's /dev/shm in bytes, as docker and Kubernetes
// have it.
const ShmSize = 64 << 20

// NodeShm is the /dev/shm of the node, for pods in its IPC namespace.
func NodeShm() string {
	if _, err := os.Stat("/dev/shm"); err != nil {
		return ""
	}
	return "/dev/shm"
}
