package registry

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What pods can ask for and do not get. The fields of a pod first, then those
// of its parts.

var podSpecFields = fieldTable[corev1.PodSpec]{
	served: []string{
		"volumes", "initContainers", "containers", "restartPolicy", "terminationGracePeriodSeconds", "activeDeadlineSeconds",
		"dnsPolicy", "nodeSelector", "serviceAccountName", "serviceAccount", "nodeName", "hostNetwork", "hostPID", "hostIPC",
		"shareProcessNamespace", "securityContext", "imagePullSecrets", "hostname", "subdomain", "affinity", "schedulerName",
		"tolerations", "hostAliases", "dnsConfig", "readinessGates", "enableServiceLinks", "preemptionPolicy",
		"topologySpreadConstraints", "schedulingGates", "setHostnameAsFQDN", "hostnameOverride",
	},
	unserved: []unservedField[corev1.PodSpec]{
		{"ephemeralContainers", func(s *corev1.PodSpec) bool { return len(s.EphemeralContainers) > 0 }, true,
			"ephemeral containers are not served"},
		{"automountServiceAccountToken", func(s *corev1.PodSpec) bool { return isTrue(s.AutomountServiceAccountToken) }, false,
			"service account tokens are not served: none is mounted"},
		{"priorityClassName", func(s *corev1.PodSpec) bool { return s.PriorityClassName != "" && !systemPriority(s.PriorityClassName) }, true,
			"PriorityClass is not served: no PriorityClass of this name can be found; leave it out"},
		{"priorityClassName", func(s *corev1.PodSpec) bool { return systemPriority(s.PriorityClassName) }, false,
			"PriorityClass is not served: the pod gets no priority from its class"},
		{"priority", func(s *corev1.PodSpec) bool { return s.Priority != nil && *s.Priority != 0 }, false,
			"priorities do not count in scheduling: the pod waits its turn and preempts none"},
		{"runtimeClassName", func(s *corev1.PodSpec) bool { return s.RuntimeClassName != nil && *s.RuntimeClassName != "" }, true,
			"RuntimeClass is not served: all pods run by the node's runtime plugin"},
		{"overhead", func(s *corev1.PodSpec) bool { return len(s.Overhead) > 0 }, true,
			"pod overhead set without a corresponding RuntimeClass, which is not served"},
		{"os", func(s *corev1.PodSpec) bool { return s.OS != nil && s.OS.Name == corev1.Windows }, true,
			"nodes run Linux"},
		{"hostUsers", func(s *corev1.PodSpec) bool { return isFalse(s.HostUsers) }, true,
			"user namespaces are not served: pods run in the user namespace of the node"},
		{"resourceClaims", func(s *corev1.PodSpec) bool { return len(s.ResourceClaims) > 0 }, true,
			"dynamic resource allocation is not served"},
		{"resources", func(s *corev1.PodSpec) bool { return s.Resources != nil }, true,
			"resources of a whole pod are not served: set them on its containers"},
		{"schedulingGroup", func(s *corev1.PodSpec) bool { return s.SchedulingGroup != nil }, true,
			"pod groups are not served"},
		{"evictionResponders", func(s *corev1.PodSpec) bool { return len(s.EvictionResponders) > 0 }, true,
			"eviction responders are not served"},
	},
}

func systemPriority(class string) bool {
	return class == "system-node-critical" || class == "system-cluster-critical"
}

var containerFields = fieldTable[corev1.Container]{
	served: []string{
		"name", "image", "command", "args", "workingDir", "ports", "envFrom", "env", "resources", "restartPolicy", "volumeMounts",
		"livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "terminationMessagePath", "terminationMessagePolicy",
		"imagePullPolicy", "securityContext", "stdin", "stdinOnce", "tty",
	},
	unserved: []unservedField[corev1.Container]{
		{"resizePolicy", func(c *corev1.Container) bool { return len(c.ResizePolicy) > 0 }, false,
			"resizing containers in place is not served: the policy has no effect"},
		{"restartPolicyRules", func(c *corev1.Container) bool { return len(c.RestartPolicyRules) > 0 }, true,
			"restart rules of single containers are not served"},
		{"volumeDevices", func(c *corev1.Container) bool { return len(c.VolumeDevices) > 0 }, true,
			"raw block volumes are not served"},
	},
}

var resourcesFields = fieldTable[corev1.ResourceRequirements]{
	served: []string{"limits", "requests"},
	unserved: []unservedField[corev1.ResourceRequirements]{
		{"claims", func(r *corev1.ResourceRequirements) bool { return len(r.Claims) > 0 }, true,
			"dynamic resource allocation is not served"},
		{"limits", func(r *corev1.ResourceRequirements) bool {
			for name := range r.Limits {
				if isHugePages(name) {
					return true
				}
			}
			return false
		}, true, "huge pages are not served"},
		{"limits", func(r *corev1.ResourceRequirements) bool {
			_, set := r.Limits[corev1.ResourceEphemeralStorage]
			return set
		}, false, "limits of ephemeral-storage are not enforced for a container: set emptyDir.sizeLimit"},
	},
}

var envSourceFields = fieldTable[corev1.EnvVarSource]{
	served: []string{"fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef"},
	unserved: []unservedField[corev1.EnvVarSource]{
		{"fileKeyRef", func(s *corev1.EnvVarSource) bool { return s.FileKeyRef != nil }, true,
			"variables from files are not served"},
	},
}

var volumeMountFields = fieldTable[corev1.VolumeMount]{
	served: []string{"name", "readOnly", "mountPath", "subPath", "mountPropagation", "subPathExpr", "recursiveReadOnly"},
	unserved: []unservedField[corev1.VolumeMount]{
		{"bindMountOptions", func(m *corev1.VolumeMount) bool { return len(m.BindMountOptions) > 0 }, true,
			"mount options of single containers are not served"},
	},
}

var lifecycleHandlerFields = fieldTable[corev1.LifecycleHandler]{
	served: []string{"exec", "httpGet", "sleep"},
	unserved: []unservedField[corev1.LifecycleHandler]{
		{"tcpSocket", func(h *corev1.LifecycleHandler) bool { return h.TCPSocket != nil }, false,
			"a TCP hook does nothing, in Kubernetes too: use exec or httpGet"},
	},
}

var httpGetFields = fieldTable[corev1.HTTPGetAction]{
	served: []string{"path", "port", "host", "scheme", "httpHeaders"},
	unserved: []unservedField[corev1.HTTPGetAction]{
		{"protocol", func(g *corev1.HTTPGetAction) bool {
			return g.Protocol != nil && *g.Protocol != corev1.HTTPProtocolHTTP1
		}, true,
			"only HTTP/1.1 is served"},
	},
}

var grpcFields = fieldTable[corev1.GRPCAction]{
	served: []string{"port", "service"},
	unserved: []unservedField[corev1.GRPCAction]{
		{"mode", func(g *corev1.GRPCAction) bool { return g.Mode != nil && *g.Mode != corev1.GRPCProbeModePlaintext }, true,
			"only plaintext gRPC probes are served"},
	},
}

var podSecurityFields = fieldTable[corev1.PodSecurityContext]{
	served: []string{
		"runAsUser", "runAsGroup", "runAsNonRoot", "supplementalGroups", "fsGroup", "sysctls", "fsGroupChangePolicy", "seccompProfile",
	},
	unserved: []unservedField[corev1.PodSecurityContext]{
		{"seLinuxOptions", func(s *corev1.PodSecurityContext) bool { return s.SELinuxOptions != nil }, true, noSELinux},
		{"windowsOptions", func(s *corev1.PodSecurityContext) bool { return s.WindowsOptions != nil }, true, noWindows},
		{"supplementalGroupsPolicy", func(s *corev1.PodSecurityContext) bool {
			return s.SupplementalGroupsPolicy != nil && *s.SupplementalGroupsPolicy == corev1.SupplementalGroupsPolicyStrict
		}, true, "only the policy Merge is served: groups of the image's user are kept"},
		{"appArmorProfile", func(s *corev1.PodSecurityContext) bool { return localAppArmor(s.AppArmorProfile) }, true, noAppArmor},
		{"appArmorProfile", func(s *corev1.PodSecurityContext) bool { return defaultAppArmor(s.AppArmorProfile) }, false, noAppArmor},
		{"seLinuxChangePolicy", func(s *corev1.PodSecurityContext) bool { return s.SELinuxChangePolicy != nil }, true, noSELinux},
	},
}

var securityFields = fieldTable[corev1.SecurityContext]{
	served: []string{
		"capabilities", "privileged", "runAsUser", "runAsGroup", "runAsNonRoot", "readOnlyRootFilesystem",
		"allowPrivilegeEscalation", "seccompProfile", "procMount",
	},
	unserved: []unservedField[corev1.SecurityContext]{
		{"seLinuxOptions", func(s *corev1.SecurityContext) bool { return s.SELinuxOptions != nil }, true, noSELinux},
		{"windowsOptions", func(s *corev1.SecurityContext) bool { return s.WindowsOptions != nil }, true, noWindows},
		{"appArmorProfile", func(s *corev1.SecurityContext) bool { return localAppArmor(s.AppArmorProfile) }, true, noAppArmor},
		{"appArmorProfile", func(s *corev1.SecurityContext) bool { return defaultAppArmor(s.AppArmorProfile) }, false, noAppArmor},
	},
}

const (
	noSELinux  = "SELinux is not served"
	noWindows  = "nodes run Linux"
	noAppArmor = "AppArmor profiles are not served: containers run without one"
)

// appArmorAnnotation is how profiles were asked for before there was a field.
const appArmorAnnotation = "container.apparmor.security.beta.kubernetes.io/"

func localAppArmor(p *corev1.AppArmorProfile) bool {
	return p != nil && p.Type == corev1.AppArmorProfileTypeLocalhost
}

func defaultAppArmor(p *corev1.AppArmorProfile) bool {
	return p != nil && p.Type == corev1.AppArmorProfileTypeRuntimeDefault
}

func unservedTemplate(template, old *corev1.PodTemplateSpec, path *field.Path) (field.ErrorList, []string) {
	if template == nil {
		return nil, nil
	}
	var before *corev1.PodSpec
	if old != nil {
		before = &old.Spec
	}
	return unservedPodSpec(&template.Spec, before, template.Annotations, path.Child("spec"))
}

func unservedPodSpec(spec, old *corev1.PodSpec, annotations map[string]string, path *field.Path) (field.ErrorList, []string) {
	var r unservedReport
	podSpecFields.check(&r, spec, old, path)
	var oldSecurity *corev1.PodSecurityContext
	if old != nil {
		oldSecurity = old.SecurityContext
	}
	podSecurityFields.check(&r, spec.SecurityContext, oldSecurity, path.Child("securityContext"))
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		unservedContainer(&r, c, containerNamed(old, c.Name, true), path.Child("initContainers").Index(i))
	}
	for i := range spec.Containers {
		c := &spec.Containers[i]
		unservedContainer(&r, c, containerNamed(old, c.Name, false), path.Child("containers").Index(i))
	}
	for i := range spec.Volumes {
		v := &spec.Volumes[i]
		unservedVolume(&r, v, volumeNamed(old, v.Name), path.Child("volumes").Index(i))
	}
	for key, profile := range annotations {
		if old == nil && strings.HasPrefix(key, appArmorAnnotation) && profile != "unconfined" {
			r.warnings = append(r.warnings, "metadata.annotations["+key+"]: "+noAppArmor)
		}
	}
	return r.refused, r.warnings
}

func unservedContainer(r *unservedReport, c, old *corev1.Container, path *field.Path) {
	containerFields.check(r, c, old, path)
	var was corev1.Container
	if old != nil {
		was = *old
	}
	resourcesFields.check(r, &c.Resources, &was.Resources, path.Child("resources"))
	securityFields.check(r, c.SecurityContext, was.SecurityContext, path.Child("securityContext"))
	for i := range c.Env {
		if i < len(was.Env) {
			envSourceFields.check(r, c.Env[i].ValueFrom, was.Env[i].ValueFrom, path.Child("env").Index(i).Child("valueFrom"))
		} else {
			envSourceFields.check(r, c.Env[i].ValueFrom, nil, path.Child("env").Index(i).Child("valueFrom"))
		}
	}
	for i := range c.VolumeMounts {
		var before *corev1.VolumeMount
		if i < len(was.VolumeMounts) {
			before = &was.VolumeMounts[i]
		}
		volumeMountFields.check(r, &c.VolumeMounts[i], before, path.Child("volumeMounts").Index(i))
	}
	if c.Lifecycle != nil && !equality.Semantic.DeepEqual(c.Lifecycle, was.Lifecycle) {
		unservedHook(r, c.Lifecycle.PostStart, path.Child("lifecycle", "postStart"))
		unservedHook(r, c.Lifecycle.PreStop, path.Child("lifecycle", "preStop"))
	}
	unservedProbe(r, c.LivenessProbe, was.LivenessProbe, path.Child("livenessProbe"))
	unservedProbe(r, c.ReadinessProbe, was.ReadinessProbe, path.Child("readinessProbe"))
	unservedProbe(r, c.StartupProbe, was.StartupProbe, path.Child("startupProbe"))
}

func unservedHook(r *unservedReport, h *corev1.LifecycleHandler, path *field.Path) {
	if h != nil {
		lifecycleHandlerFields.check(r, h, nil, path)
		httpGetFields.check(r, h.HTTPGet, nil, path.Child("httpGet"))
	}
}

func unservedProbe(r *unservedReport, p, old *corev1.Probe, path *field.Path) {
	if p == nil || old != nil && equality.Semantic.DeepEqual(p, old) {
		return
	}
	httpGetFields.check(r, p.HTTPGet, nil, path.Child("httpGet"))
	grpcFields.check(r, p.GRPC, nil, path.Child("grpc"))
}

func containerNamed(spec *corev1.PodSpec, name string, init bool) *corev1.Container {
	if spec == nil {
		return nil
	}
	containers := spec.Containers
	if init {
		containers = spec.InitContainers
	}
	for i := range containers {
		if containers[i].Name == name {
			return &containers[i]
		}
	}
	return nil
}

func volumeNamed(spec *corev1.PodSpec, name string) *corev1.Volume {
	if spec == nil {
		return nil
	}
	for i := range spec.Volumes {
		if spec.Volumes[i].Name == name {
			return &spec.Volumes[i]
		}
	}
	return nil
}
