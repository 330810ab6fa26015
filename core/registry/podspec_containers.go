package registry

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// containerChecker knows what containers of a pod refer to.
type containerChecker struct {
	spec    *corev1.PodSpec
	volumes map[string]*corev1.VolumeSource
}

func validateContainers(spec *corev1.PodSpec, volumes map[string]*corev1.VolumeSource, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	check := containerChecker{spec: spec, volumes: volumes}
	names, hostPorts := sets.New[string](), sets.New[string]()
	containers := path.Child("containers")
	if len(spec.Containers) == 0 {
		errs = append(errs, field.Required(containers, ""))
	}
	for i := range spec.Containers {
		c, path := &spec.Containers[i], containers.Index(i)
		errs = append(errs, check.common(c, path)...)
		errs = append(errs, uniqueName(names, c.Name, path.Child("name"))...)
		errs = append(errs, check.lifecycleAndProbes(c, path)...)
		errs = append(errs, uniqueHostPorts(hostPorts, c.Ports, path.Child("ports"))...)
		if c.RestartPolicy != nil {
			errs = append(errs, field.Forbidden(path.Child("restartPolicy"), "may not be set for non-init containers"))
		}
	}
	for i := range spec.InitContainers {
		c, path := &spec.InitContainers[i], path.Child("initContainers").Index(i)
		errs = append(errs, check.common(c, path)...)
		errs = append(errs, uniqueName(names, c.Name, path.Child("name"))...)
		errs = append(errs, check.initOnly(c, path)...)
		// Init containers run one after the other and may share ports.
		errs = append(errs, uniqueHostPorts(sets.New[string](), c.Ports, path.Child("ports"))...)
	}
	return errs
}

func uniqueName(names sets.Set[string], name string, path *field.Path) field.ErrorList {
	if names.Has(name) {
		return field.ErrorList{field.Duplicate(path, name)}
	}
	if name != "" {
		names.Insert(name)
	}
	return nil
}

// initOnly checks what init containers may have and others not, or the other
// way round.
func (check containerChecker) initOnly(c *corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c.RestartPolicy != nil {
		errs = append(errs, oneOf(path.Child("restartPolicy"), *c.RestartPolicy, corev1.ContainerRestartPolicyAlways)...)
	}
	if isSidecar(c) {
		return append(errs, check.lifecycleAndProbes(c, path)...)
	}
	const msg = "may not be set for init containers without restartPolicy=Always"
	if c.Lifecycle != nil {
		errs = append(errs, field.Forbidden(path.Child("lifecycle"), msg))
	}
	if c.LivenessProbe != nil {
		errs = append(errs, field.Forbidden(path.Child("livenessProbe"), msg))
	}
	if c.ReadinessProbe != nil {
		errs = append(errs, field.Forbidden(path.Child("readinessProbe"), msg))
	}
	if c.StartupProbe != nil {
		errs = append(errs, field.Forbidden(path.Child("startupProbe"), msg))
	}
	return errs
}

// common checks what all containers have.
func (check containerChecker) common(c *corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), ""))
	} else {
		errs = append(errs, invalidEach(path.Child("name"), c.Name, validation.IsDNS1123Label(c.Name))...)
	}
	if c.Image == "" {
		errs = append(errs, field.Required(path.Child("image"), ""))
	}
	errs = append(errs, requiredOneOf(path.Child("terminationMessagePolicy"), c.TerminationMessagePolicy,
		corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)...)
	errs = append(errs, requiredOneOf(path.Child("imagePullPolicy"), c.ImagePullPolicy,
		corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)...)
	errs = append(errs, check.ports(c.Ports, path.Child("ports"))...)
	errs = append(errs, validateEnv(c.Env, path.Child("env"))...)
	errs = append(errs, validateEnvFrom(c.EnvFrom, path.Child("envFrom"))...)
	errs = append(errs, check.volumeMounts(c, path.Child("volumeMounts"))...)
	errs = append(errs, check.volumeDevices(c, path.Child("volumeDevices"))...)
	errs = append(errs, validateResources(&c.Resources, path.Child("resources"))...)
	return append(errs, validateSecurityContext(c.SecurityContext, path.Child("securityContext"))...)
}

func (check containerChecker) ports(ports []corev1.ContainerPort, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := sets.New[string]()
	for i, port := range ports {
		path := path.Index(i)
		if port.Name != "" {
			if msgs := validation.IsValidPortName(port.Name); len(msgs) > 0 {
				errs = append(errs, invalidEach(path.Child("name"), port.Name, msgs)...)
			} else {
				errs = append(errs, uniqueName(names, port.Name, path.Child("name"))...)
			}
		}
		if port.ContainerPort == 0 {
			errs = append(errs, field.Required(path.Child("containerPort"), ""))
		} else {
			errs = append(errs, invalidEach(path.Child("containerPort"), port.ContainerPort, validation.IsValidPortNum(int(port.ContainerPort)))...)
		}
		if port.HostPort != 0 {
			errs = append(errs, invalidEach(path.Child("hostPort"), port.HostPort, validation.IsValidPortNum(int(port.HostPort)))...)
			if check.spec.HostNetwork && port.HostPort != port.ContainerPort {
				errs = append(errs, field.Invalid(path.Child("hostPort"), port.HostPort, "must match `containerPort` when `hostNetwork` is true"))
			}
		}
		errs = append(errs, validateProtocol(port.Protocol, path.Child("protocol"))...)
		if port.HostIP != "" {
			errs = append(errs, validation.IsValidIPForLegacyField(path.Child("hostIP"), port.HostIP, true, nil)...)
		}
	}
	return errs
}

func uniqueHostPorts(taken sets.Set[string], ports []corev1.ContainerPort, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, port := range ports {
		if port.HostPort == 0 {
			continue
		}
		id := fmt.Sprintf("%s/%s/%d", port.Protocol, port.HostIP, port.HostPort)
		if taken.Has(id) {
			errs = append(errs, field.Duplicate(path.Index(i).Child("hostPort"), id))
		}
		taken.Insert(id)
	}
	return errs
}

// validatePortOrName checks a port that may be the name of one.
func validatePortOrName(port intstr.IntOrString, path *field.Path) field.ErrorList {
	if port.Type == intstr.String {
		return invalidEach(path, port.StrVal, validation.IsValidPortName(port.StrVal))
	}
	return invalidEach(path, port.IntValue(), validation.IsValidPortNum(port.IntValue()))
}
