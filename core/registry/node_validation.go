package registry

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateNode(n *corev1.Node) field.ErrorList {
	spec := field.NewPath("spec")
	errs := validateTaints(n.Spec.Taints, spec.Child("taints"))
	errs = append(errs, validatePodCIDRs(n, spec.Child("podCIDRs"))...)
	return append(errs, validateNodeStatus(n)...)
}

func validatePodCIDRs(n *corev1.Node, path *field.Path) field.ErrorList {
	if len(n.Spec.PodCIDRs) == 0 {
		return nil
	}
	var errs field.ErrorList
	if n.Spec.PodCIDR != n.Spec.PodCIDRs[0] {
		errs = append(errs, field.Invalid(path.Index(0), n.Spec.PodCIDRs[0], "must be the same as podCIDR"))
	}
	four, six := 0, 0
	for i, cidr := range n.Spec.PodCIDRs {
		errs = append(errs, validation.IsValidCIDRForLegacyField(path.Index(i), cidr, true, nil)...)
		if prefix, err := netip.ParsePrefix(cidr); err == nil {
			if prefix.Addr().Is4() {
				four++
			} else {
				six++
			}
		}
	}
	if four > 1 || six > 1 {
		errs = append(errs, field.Invalid(path, n.Spec.PodCIDRs, "may specify no more than one CIDR for each IP family"))
	}
	return errs
}

func validateTaints(taints []corev1.Taint, path *field.Path) field.ErrorList {
	type identity struct {
		key    string
		effect corev1.TaintEffect
	}
	var errs field.ErrorList
	seen := map[identity]bool{}
	for i, taint := range taints {
		path := path.Index(i)
		errs = append(errs, metavalidation.ValidateLabelName(taint.Key, path.Child("key"))...)
		errs = append(errs, invalidEach(path.Child("value"), taint.Value, validation.IsValidLabelValue(taint.Value))...)
		errs = append(errs, validateTaintEffect(taint.Effect, false, path.Child("effect"))...)
		id := identity{taint.Key, taint.Effect}
		if seen[id] {
			duplicate := field.Duplicate(path, taint)
			duplicate.Detail = "taints must be unique by key and effect pair"
			errs = append(errs, duplicate)
		}
		seen[id] = true
	}
	return errs
}

func validateTaintEffect(effect corev1.TaintEffect, allowEmpty bool, path *field.Path) field.ErrorList {
	if effect == "" {
		if allowEmpty {
			return nil
		}
		return field.ErrorList{field.Required(path, "")}
	}
	return oneOf(path, effect, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)
}

func validateNodeStatus(n *corev1.Node) field.ErrorList {
	status := field.NewPath("status")
	errs := validateResourceAmounts(n.Status.Capacity, status.Child("capacity"))
	errs = append(errs, validateResourceAmounts(n.Status.Allocatable, status.Child("allocatable"))...)
	seen := map[corev1.NodeAddress]bool{}
	for i, address := range n.Status.Addresses {
		if seen[address] {
			errs = append(errs, field.Duplicate(status.Child("addresses").Index(i), address))
		}
		seen[address] = true
	}
	return errs
}

// validateResourceAmounts checks amounts that a node has rather than those a
// container asks for.
func validateResourceAmounts(list corev1.ResourceList, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for name, quantity := range list {
		errs = append(errs, invalidEach(path.Key(string(name)), name, validation.IsQualifiedName(string(name)))...)
		errs = append(errs, validateNonnegative(quantity, path.Key(string(name)))...)
	}
	return errs
}

func validateNodeUpdate(n, old *corev1.Node) field.ErrorList {
	var errs field.ErrorList
	spec := field.NewPath("spec")
	if len(old.Spec.PodCIDRs) > 0 && !equality.Semantic.DeepEqual(n.Spec.PodCIDRs, old.Spec.PodCIDRs) {
		errs = append(errs, field.Forbidden(spec.Child("podCIDRs"), "node updates may not change podCIDR except from \"\" to valid"))
	}
	if old.Spec.ProviderID != "" && n.Spec.ProviderID != old.Spec.ProviderID {
		errs = append(errs, field.Forbidden(spec.Child("providerID"), "node updates may not change providerID except from \"\" to valid"))
	}
	return errs
}

var nodeFields = fieldTable[corev1.NodeSpec]{
	served: []string{"podCIDR", "podCIDRs", "providerID", "unschedulable", "taints"},
	unserved: []unservedField[corev1.NodeSpec]{
		{"configSource", func(s *corev1.NodeSpec) bool { return s.ConfigSource != nil }, true, "configSource may not be set"},
		{"externalID", func(s *corev1.NodeSpec) bool { return s.DoNotUseExternalID != "" }, false, "this field is deprecated and has no effect"},
		{"podPreemptionPolicy", func(s *corev1.NodeSpec) bool { return s.PodPreemptionPolicy != nil }, true, "a node's preemption policy is not served"},
	},
}

func unservedNode(n, old *corev1.Node) (field.ErrorList, []string) {
	var r unservedReport
	var before *corev1.NodeSpec
	if old != nil {
		before = &old.Spec
	}
	nodeFields.check(&r, &n.Spec, before, field.NewPath("spec"))
	return r.refused, r.warnings
}

// nodeNameErrors says why a name can't be a node's.
func nodeNameErrors(name string, path *field.Path) field.ErrorList {
	return invalidEach(path, name, apivalidation.NameIsDNSSubdomain(name, false))
}
