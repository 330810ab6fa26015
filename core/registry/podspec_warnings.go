package registry

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func templateWarnings(template, old *corev1.PodTemplateSpec, path *field.Path) []string {
	if template == nil || old != nil {
		return nil
	}
	return podSpecWarnings(&template.Spec, path.Child("spec"))
}

// podSpecWarnings tells what is allowed and does not what it seems to.
func podSpecWarnings(spec *corev1.PodSpec, path *field.Path) []string {
	var warnings []string
	warn := func(path *field.Path, format string, args ...any) {
		warnings = append(warnings, fmt.Sprintf("%s: %s", path, fmt.Sprintf(format, args...)))
	}
	for i, ref := range spec.ImagePullSecrets {
		if ref.Name == "" {
			warn(path.Child("imagePullSecrets").Index(i), "invalid empty name %q", ref.Name)
		}
	}
	if g := spec.TerminationGracePeriodSeconds; g != nil && *g < 0 {
		warn(path.Child("terminationGracePeriodSeconds"), "must be >= 0; negative values are invalid and will be treated as 1")
	}
	seen := sets.New[string]()
	for i, alias := range spec.HostAliases {
		if seen.Has(alias.IP) {
			warn(path.Child("hostAliases").Index(i).Child("ip"), "duplicate ip %q", alias.IP)
		}
		seen.Insert(alias.IP)
	}
	for _, list := range []struct {
		name       string
		containers []corev1.Container
	}{{"initContainers", spec.InitContainers}, {"containers", spec.Containers}} {
		for i := range list.containers {
			containerWarnings(&list.containers[i], path.Child(list.name).Index(i), warn)
		}
	}
	return warnings
}

func containerWarnings(c *corev1.Container, path *field.Path, warn func(*field.Path, string, ...any)) {
	names := sets.New[string]()
	for i, v := range c.Env {
		if names.Has(v.Name) && !strings.Contains(v.Value, "$("+v.Name+")") {
			warn(path.Child("env").Index(i), "hides previous definition of %q, which may be dropped when using apply", v.Name)
		}
		names.Insert(v.Name)
	}
	type identity struct {
		port     int32
		protocol corev1.Protocol
	}
	ports := map[identity]bool{}
	for i, p := range c.Ports {
		id := identity{p.ContainerPort, p.Protocol}
		if ports[id] {
			warn(path.Child("ports").Index(i), "duplicate port definition with %d/%s", p.ContainerPort, p.Protocol)
		}
		ports[id] = true
	}
	for _, list := range []struct {
		name  string
		items corev1.ResourceList
	}{{"limits", c.Resources.Limits}, {"requests", c.Resources.Requests}} {
		memory, ok := list.items[corev1.ResourceMemory]
		if ok && memory.MilliValue()%1000 != 0 {
			warn(path.Child("resources", list.name).Key(string(corev1.ResourceMemory)), "fractional byte value %q is invalid, must be an integer", memory.String())
		}
	}
}
