package ocispec

import (
	"encoding/json"
	"os"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/contrib/apparmor"
	"github.com/containerd/containerd/v2/contrib/seccomp"
	pkgapparmor "github.com/containerd/containerd/v2/pkg/apparmor"
	"github.com/containerd/containerd/v2/pkg/cap"
	pkgseccomp "github.com/containerd/containerd/v2/pkg/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

// apparmorProfile is the name under which the default profile is loaded.
const apparmorProfile = "pintle-default"

// defaultCapabilities are those that docker and containerd grant:
// https://github.com/moby/profiles and containerd's pkg/oci.
func defaultCapabilities() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
		"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
	}
}

// maskedPaths and readonlyPaths hide what is the node's in /proc and /sys.
func maskedPaths() []string {
	return []string{
		"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
		"/sys/devices/virtual/powercap",
	}
}

func readonlyPaths() []string {
	return []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
}

func addSecurity(spec *specs.Spec, security *pluginv1.LinuxSecurity) error {
	capabilities, err := capabilities(security)
	if err != nil {
		return err
	}
	spec.Process.Capabilities = &specs.LinuxCapabilities{
		Bounding: capabilities, Effective: capabilities, Permitted: capabilities,
	}
	if security.GetPrivileged() {
		return nil
	}
	if !security.GetUnmaskedProc() {
		spec.Linux.MaskedPaths, spec.Linux.ReadonlyPaths = maskedPaths(), readonlyPaths()
	}
	if err := addSeccomp(spec, security.GetSeccomp()); err != nil {
		return err
	}
	return addAppArmor(spec, security.GetApparmor())
}

// capabilities applies what is dropped and added to the default set, in the
// order of Kubernetes: adding or dropping ALL first, then the names.
func capabilities(security *pluginv1.LinuxSecurity) ([]string, error) {
	available, err := cap.Current()
	if err != nil {
		return nil, errs.Internal("read the capabilities of this process: %w", err)
	}
	if security.GetPrivileged() {
		return available, nil
	}
	granted := map[string]bool{}
	for _, name := range defaultCapabilities() {
		granted[name] = slices.Contains(available, name)
	}
	setAll := func(names []string, value bool) {
		if slices.ContainsFunc(names, func(s string) bool { return strings.EqualFold(s, "ALL") }) {
			for _, name := range append(available, defaultCapabilities()...) {
				granted[name] = value && slices.Contains(available, name)
			}
		}
	}
	setAll(security.GetAddCapabilities(), true)
	setAll(security.GetDropCapabilities(), false)
	for _, change := range []struct {
		field string
		names []string
		value bool
	}{
		{"security.add_capabilities", security.GetAddCapabilities(), true},
		{"security.drop_capabilities", security.GetDropCapabilities(), false},
	} {
		for _, name := range change.names {
			name = canonicalCapability(name)
			if name == "CAP_ALL" {
				continue
			}
			if !slices.Contains(cap.Known(), name) {
				return nil, invalid(change.field, "%s is not a capability", name)
			}
			if change.value && !slices.Contains(available, name) {
				return nil, errs.FailedPrecondition("%s: this machine does not allow %s", change.field, name)
			}
			granted[name] = change.value
		}
	}
	var out []string
	for _, name := range cap.Known() {
		if granted[name] {
			out = append(out, name)
		}
	}
	return out, nil
}

func canonicalCapability(name string) string {
	name = strings.ToUpper(name)
	if !strings.HasPrefix(name, "CAP_") {
		name = "CAP_" + name
	}
	return name
}

func addSeccomp(spec *specs.Spec, profile *pluginv1.SecurityProfile) error {
	switch profile.GetType() {
	case pluginv1.SecurityProfile_TYPE_UNSPECIFIED, pluginv1.SecurityProfile_TYPE_RUNTIME_DEFAULT:
		if pkgseccomp.IsEnabled() {
			spec.Linux.Seccomp = seccomp.DefaultProfile(spec)
		}
		return nil
	case pluginv1.SecurityProfile_TYPE_UNCONFINED:
		return nil
	case pluginv1.SecurityProfile_TYPE_LOCALHOST:
		data, err := os.ReadFile(profile.GetLocalhostPath())
		if err != nil {
			return errs.FailedPrecondition("security.seccomp: read the profile: %w", err).WithHint("put the profile on every node that may run the pod")
		}
		spec.Linux.Seccomp = &specs.LinuxSeccomp{}
		if err := json.Unmarshal(data, spec.Linux.Seccomp); err != nil {
			return invalid("security.seccomp", "%s is no seccomp profile: %v", profile.GetLocalhostPath(), err)
		}
		return nil
	default:
		return invalid("security.seccomp.type", "unknown value %d", profile.GetType())
	}
}

func addAppArmor(spec *specs.Spec, profile *pluginv1.SecurityProfile) error {
	supported := pkgapparmor.HostSupports()
	switch profile.GetType() {
	case pluginv1.SecurityProfile_TYPE_UNCONFINED:
		return nil
	case pluginv1.SecurityProfile_TYPE_UNSPECIFIED, pluginv1.SecurityProfile_TYPE_RUNTIME_DEFAULT:
		if !supported {
			return nil
		}
		if err := apparmor.LoadDefaultProfile(apparmorProfile); err != nil {
			return errs.Internal("load the AppArmor profile %s: %w", apparmorProfile, err)
		}
		spec.Process.ApparmorProfile = apparmorProfile
		return nil
	case pluginv1.SecurityProfile_TYPE_LOCALHOST:
		if !supported {
			return errs.FailedPrecondition("security.apparmor: this machine's kernel has no AppArmor")
		}
		spec.Process.ApparmorProfile = profile.GetLocalhostPath()
		return nil
	default:
		return invalid("security.apparmor.type", "unknown value %d", profile.GetType())
	}
}
