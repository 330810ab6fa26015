package podspec

import (
	"fmt"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// Namespaces says whose namespaces the pod's containers use.
func Namespaces(pod *corev1.Pod) (network, ipc, pid pluginv1.NamespaceMode) {
	network, ipc, pid = pluginv1.NamespaceMode_NAMESPACE_MODE_POD, pluginv1.NamespaceMode_NAMESPACE_MODE_POD,
		pluginv1.NamespaceMode_NAMESPACE_MODE_CONTAINER
	if pod.Spec.HostNetwork {
		network = pluginv1.NamespaceMode_NAMESPACE_MODE_NODE
	}
	if pod.Spec.HostIPC {
		ipc = pluginv1.NamespaceMode_NAMESPACE_MODE_NODE
	}
	switch {
	case pod.Spec.HostPID:
		pid = pluginv1.NamespaceMode_NAMESPACE_MODE_NODE
	case pod.Spec.ShareProcessNamespace != nil && *pod.Spec.ShareProcessNamespace:
		pid = pluginv1.NamespaceMode_NAMESPACE_MODE_POD
	}
	return network, ipc, pid
}

// Sysctls of the pod.
func Sysctls(pod *corev1.Pod) map[string]string {
	if pod.Spec.SecurityContext == nil || len(pod.Spec.SecurityContext.Sysctls) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, s := range pod.Spec.SecurityContext.Sysctls {
		out[strings.ReplaceAll(s.Name, "/", ".")] = s.Value
	}
	return out
}

// Security merges the pod's and the container's security contexts; what the
// container says wins. Seccomp profiles of type Localhost lie below seccompDir.
func Security(pod *corev1.Pod, c *corev1.Container, seccompDir string) *pluginv1.LinuxSecurity {
	psc, csc := pod.Spec.SecurityContext, c.SecurityContext
	if psc == nil {
		psc = &corev1.PodSecurityContext{}
	}
	if csc == nil {
		csc = &corev1.SecurityContext{}
	}
	s := &pluginv1.LinuxSecurity{
		Privileged:      csc.Privileged != nil && *csc.Privileged,
		RunAsUser:       first(csc.RunAsUser, psc.RunAsUser),
		RunAsGroup:      first(csc.RunAsGroup, psc.RunAsGroup),
		ReadOnlyRootfs:  csc.ReadOnlyRootFilesystem != nil && *csc.ReadOnlyRootFilesystem,
		NoNewPrivileges: csc.AllowPrivilegeEscalation != nil && !*csc.AllowPrivilegeEscalation,
		UnmaskedProc:    csc.ProcMount != nil && *csc.ProcMount == corev1.UnmaskedProcMount,
		Seccomp:         seccomp(first(csc.SeccompProfile, psc.SeccompProfile), seccompDir),
	}
	s.SupplementalGroups = append(s.SupplementalGroups, psc.SupplementalGroups...)
	if psc.FSGroup != nil {
		s.SupplementalGroups = append(s.SupplementalGroups, *psc.FSGroup)
	}
	if caps := csc.Capabilities; caps != nil {
		for _, name := range caps.Add {
			s.AddCapabilities = append(s.AddCapabilities, string(name))
		}
		for _, name := range caps.Drop {
			s.DropCapabilities = append(s.DropCapabilities, string(name))
		}
	}
	return s
}

func seccomp(p *corev1.SeccompProfile, dir string) *pluginv1.SecurityProfile {
	if p == nil {
		return &pluginv1.SecurityProfile{Type: pluginv1.SecurityProfile_TYPE_RUNTIME_DEFAULT}
	}
	switch p.Type {
	case corev1.SeccompProfileTypeUnconfined:
		return &pluginv1.SecurityProfile{Type: pluginv1.SecurityProfile_TYPE_UNCONFINED}
	case corev1.SeccompProfileTypeLocalhost:
		path := ""
		if p.LocalhostProfile != nil {
			// Cleaned as an absolute path, so that it can't leave the directory.
			path = filepath.Join(dir, filepath.Clean("/"+*p.LocalhostProfile))
		}
		return &pluginv1.SecurityProfile{Type: pluginv1.SecurityProfile_TYPE_LOCALHOST, LocalhostPath: path}
	default:
		return &pluginv1.SecurityProfile{Type: pluginv1.SecurityProfile_TYPE_RUNTIME_DEFAULT}
	}
}

// VerifyNonRoot enforces runAsNonRoot against the user that the container will
// run as.
func VerifyNonRoot(pod *corev1.Pod, c *corev1.Container, image *pluginv1.Image) error {
	var must, user = (*bool)(nil), (*int64)(nil)
	if psc := pod.Spec.SecurityContext; psc != nil {
		must, user = psc.RunAsNonRoot, psc.RunAsUser
	}
	if csc := c.SecurityContext; csc != nil {
		must, user = first(csc.RunAsNonRoot, must), first(csc.RunAsUser, user)
	}
	if must == nil || !*must {
		return nil
	}
	switch {
	case user != nil && *user == 0:
		return fmt.Errorf("container's runAsUser breaks non-root policy (pod: %q, container: %s)", podKey(pod), c.Name)
	case user != nil:
		return nil
	case image.GetUid() == 0 && image.GetUsername() == "":
		return fmt.Errorf("container has runAsNonRoot and image will run as root (pod: %q, container: %s)", podKey(pod), c.Name)
	case image.Uid == nil:
		return fmt.Errorf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root (pod: %q, container: %s)",
			image.GetUsername(), podKey(pod), c.Name)
	}
	return nil
}

func podKey(pod *corev1.Pod) string {
	return pod.Name + "_" + pod.Namespace + "(" + string(pod.UID) + ")"
}

func first[T any](ptrs ...*T) *T {
	for _, p := range ptrs {
		if p != nil {
			return p
		}
	}
	return nil
}
