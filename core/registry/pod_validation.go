package registry

import (
	"fmt"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validatePod(pod *corev1.Pod) field.ErrorList {
	spec := field.NewPath("spec")
	errs := validatePodAnnotations(pod.Annotations, field.NewPath("metadata", "annotations"))
	errs = append(errs, validatePodSpec(&pod.Spec, spec)...)
	// Templates may have such images, since some systems replace them.
	errs = append(errs, validateTrimmedImages(pod.Spec.Containers, spec.Child("containers"))...)
	errs = append(errs, validateTrimmedImages(pod.Spec.InitContainers, spec.Child("initContainers"))...)
	if pod.Spec.NodeName != "" && len(pod.Spec.SchedulingGates) > 0 {
		errs = append(errs, field.Forbidden(spec.Child("nodeName"), "cannot be set until all schedulingGates have been cleared"))
	}
	return errs
}

func validateTrimmedImages(containers []corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, c := range containers {
		if strings.TrimSpace(c.Image) != c.Image {
			errs = append(errs, field.Invalid(path.Index(i).Child("image"), c.Image, "must not have leading or trailing whitespace"))
		}
	}
	return errs
}

// validatePodUpdate allows what can change under a running pod, and for a pod
// that is held back by gates also what narrows where it may run.
func validatePodUpdate(pod, old *corev1.Pod) field.ErrorList {
	path := field.NewPath("spec")
	errs := validateSameContainers(pod.Spec.Containers, old.Spec.Containers, path.Child("containers"), "pod updates may not add or remove containers")
	errs = append(errs, validateSameContainers(pod.Spec.InitContainers, old.Spec.InitContainers, path.Child("initContainers"), "pod updates may not add or remove containers")...)
	if len(errs) > 0 {
		return errs
	}
	errs = append(errs, validateDeadlineUpdate(pod.Spec.ActiveDeadlineSeconds, old.Spec.ActiveDeadlineSeconds, path.Child("activeDeadlineSeconds"))...)
	errs = append(errs, validateOnlyAddedTolerations(pod.Spec.Tolerations, old.Spec.Tolerations, path.Child("tolerations"))...)
	errs = append(errs, validateGatesUpdate(pod.Spec.SchedulingGates, old.Spec.SchedulingGates, path.Child("schedulingGates"))...)

	// What may change is set to what it was; then nothing may differ.
	munged := pod.Spec.DeepCopy()
	for i := range munged.Containers {
		munged.Containers[i].Image = old.Spec.Containers[i].Image
	}
	for i := range munged.InitContainers {
		munged.InitContainers[i].Image = old.Spec.InitContainers[i].Image
	}
	munged.ActiveDeadlineSeconds = old.Spec.ActiveDeadlineSeconds
	munged.Tolerations = old.Spec.Tolerations
	munged.SchedulingGates = old.Spec.SchedulingGates
	if g := old.Spec.TerminationGracePeriodSeconds; g != nil && *g < 0 && munged.TerminationGracePeriodSeconds != nil && *munged.TerminationGracePeriodSeconds == 1 {
		munged.TerminationGracePeriodSeconds = g
	}
	if len(old.Spec.SchedulingGates) > 0 {
		errs = append(errs, validateGatedUpdate(munged, &old.Spec, path)...)
	}
	if !equality.Semantic.DeepEqual(munged, &old.Spec) {
		errs = append(errs, field.Forbidden(path, fmt.Sprintf("pod updates may not change fields other than %s\n%v", mutablePodFields, diff.Diff(old.Spec, *munged))))
	}
	return errs
}

const mutablePodFields = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`," +
	"`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"

func validateSameContainers(now, old []corev1.Container, path *field.Path, msg string) field.ErrorList {
	if len(now) != len(old) {
		return field.ErrorList{field.Forbidden(path, msg)}
	}
	return nil
}

func validateDeadlineUpdate(now, old *int64, path *field.Path) field.ErrorList {
	switch {
	case now == nil && old != nil:
		return field.ErrorList{field.Invalid(path, now, "must not update from a positive integer to nil value")}
	case now != nil && (*now < 0 || *now > math.MaxInt32):
		return field.ErrorList{field.Invalid(path, *now, validation.InclusiveRangeError(0, math.MaxInt32))}
	case now != nil && old != nil && *now > *old:
		return field.ErrorList{field.Invalid(path, *now, "must be less than or equal to previous value")}
	}
	return nil
}

func validateOnlyAddedTolerations(now, old []corev1.Toleration, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, was := range old {
		kept := slices.ContainsFunc(now, func(t corev1.Toleration) bool {
			t.TolerationSeconds = was.TolerationSeconds
			return t == was
		})
		if !kept {
			return append(errs, field.Forbidden(path, "existing toleration can not be modified except its tolerationSeconds"))
		}
	}
	return errs
}

func validateGatesUpdate(now, old []corev1.PodSchedulingGate, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, gate := range now {
		if !slices.Contains(old, gate) {
			errs = append(errs, field.Forbidden(path.Index(i).Child("name"), fmt.Sprintf("only deletion is allowed, but found new scheduling gate '%s'", gate.Name)))
		}
	}
	return errs
}

// validateGatedUpdate takes additions to the node selector and to the required
// node affinity out of munged where they are all that changed.
func validateGatedUpdate(munged, old *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for key, value := range old.NodeSelector {
		if now, ok := munged.NodeSelector[key]; !ok || now != value {
			errs = append(errs, field.Invalid(path.Child("nodeSelector"), munged.NodeSelector, "only additions are allowed to podSpec.nodeSelector"))
			break
		}
	}
	munged.NodeSelector = old.NodeSelector

	was, now := nodeAffinityOf(old), nodeAffinityOf(munged)
	errs = append(errs, validateNarrowedAffinity(now, was, path.Child("affinity", "nodeAffinity"))...)
	if was == nil && now != nil {
		munged.Affinity.NodeAffinity = nil
		if old.Affinity == nil && *munged.Affinity == (corev1.Affinity{}) {
			munged.Affinity = nil
		}
	} else if was != nil && now != nil {
		munged.Affinity.NodeAffinity = was
	}
	return errs
}

func nodeAffinityOf(spec *corev1.PodSpec) *corev1.NodeAffinity {
	if spec.Affinity == nil {
		return nil
	}
	return spec.Affinity.NodeAffinity
}

func validateNarrowedAffinity(now, was *corev1.NodeAffinity, path *field.Path) field.ErrorList {
	if was == nil || was.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	terms := path.Child(requiredTerms, "nodeSelectorTerms")
	old := was.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	if now == nil || now.RequiredDuringSchedulingIgnoredDuringExecution == nil ||
		len(now.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms) != len(old) {
		return field.ErrorList{field.Invalid(terms, now, "no additions/deletions to non-empty NodeSelectorTerms list are allowed")}
	}
	var errs field.ErrorList
	for i, term := range now.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		if len(old[i].MatchExpressions) == 0 && len(old[i].MatchFields) == 0 {
			continue
		}
		if !beginsWith(term.MatchExpressions, old[i].MatchExpressions) || !beginsWith(term.MatchFields, old[i].MatchFields) {
			errs = append(errs, field.Invalid(terms.Index(i), term, "only additions are allowed (no mutations or deletions)"))
		}
	}
	return errs
}

func beginsWith(now, old []corev1.NodeSelectorRequirement) bool {
	return len(now) >= len(old) && equality.Semantic.DeepEqual(now[:len(old):len(old)], old)
}

func validatePodStatusUpdate(pod, old *corev1.Pod) field.ErrorList {
	path := field.NewPath("status")
	var errs field.ErrorList
	if name := pod.Status.NominatedNodeName; name != "" {
		errs = append(errs, nodeNameErrors(name, path.Child("nominatedNodeName"))...)
	}
	if old.Status.QOSClass != "" && pod.Status.QOSClass != old.Status.QOSClass {
		errs = append(errs, field.Invalid(path.Child("qosClass"), pod.Status.QOSClass, "field is immutable"))
	}
	if pod.Status.ObservedGeneration < 0 {
		errs = append(errs, field.Invalid(path.Child("observedGeneration"), pod.Status.ObservedGeneration, "must be a non-negative integer"))
	}
	for i, c := range pod.Status.Conditions {
		errs = append(errs, invalidEach(path.Child("conditions").Index(i).Child("type"), string(c.Type), validation.IsQualifiedName(string(c.Type)))...)
	}
	var podIPs, hostIPs []string
	for _, ip := range pod.Status.PodIPs {
		podIPs = append(podIPs, ip.IP)
	}
	for _, ip := range pod.Status.HostIPs {
		hostIPs = append(hostIPs, ip.IP)
	}
	errs = append(errs, validateIPs(podIPs, path.Child("podIPs"))...)
	errs = append(errs, validateIPs(hostIPs, path.Child("hostIPs"))...)
	if len(hostIPs) > 0 && hostIPs[0] != pod.Status.HostIP {
		errs = append(errs, field.Invalid(path.Child("hostIPs").Index(0).Child("ip"), hostIPs[0], "must be equal to `hostIP`"))
	}
	errs = append(errs, validateStaysTerminated(pod.Status.ContainerStatuses, old.Status.ContainerStatuses, path.Child("containerStatuses"), old.Spec.RestartPolicy, nil)...)
	// Init containers of a pod that is always restarted are tried again too, and
	// sidecars whatever the policy.
	sidecars := map[string]bool{}
	for i := range old.Spec.InitContainers {
		sidecars[old.Spec.InitContainers[i].Name] = isSidecar(&old.Spec.InitContainers[i])
	}
	return append(errs, validateStaysTerminated(pod.Status.InitContainerStatuses, old.Status.InitContainerStatuses, path.Child("initContainerStatuses"), old.Spec.RestartPolicy, sidecars)...)
}

// validateStaysTerminated: a container that is not to be restarted can't run
// again once it has ended.
func validateStaysTerminated(now, old []corev1.ContainerStatus, path *field.Path, policy corev1.RestartPolicy, sidecars map[string]bool) field.ErrorList {
	if policy == corev1.RestartPolicyAlways {
		return nil
	}
	var errs field.ErrorList
	for _, was := range old {
		if was.State.Terminated == nil || sidecars[was.Name] {
			continue
		}
		if policy == corev1.RestartPolicyOnFailure && was.State.Terminated.ExitCode != 0 {
			continue
		}
		for i, is := range now {
			if is.Name == was.Name && is.State.Terminated == nil {
				errs = append(errs, field.Forbidden(path.Index(i).Child("state"), "may not be transitioned to non-terminated state"))
			}
		}
	}
	return errs
}

// validateIPs checks the addresses of a pod or its node: one of each family.
func validateIPs(ips []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	four := 0
	for i, ip := range ips {
		errs = append(errs, validation.IsValidIPForLegacyField(path.Index(i), ip, true, nil)...)
		if slices.Contains(ips[:i], ip) {
			errs = append(errs, field.Duplicate(path.Index(i), ip))
		}
		if isIPv4(ip) {
			four++
		}
	}
	if four > 1 || len(ips)-four > 1 {
		errs = append(errs, field.Invalid(path, ips, "may specify no more than one IP for each IP family"))
	}
	return errs
}
