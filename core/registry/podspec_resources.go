package registry

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateResources(r *corev1.ResourceRequirements, path *field.Path) field.ErrorList {
	limits, requests := path.Child("limits"), path.Child("requests")
	errs := validateAmounts(r.Limits, limits)
	errs = append(errs, validateAmounts(r.Requests, requests)...)
	hugePages, ordinary := false, false
	for name := range r.Limits {
		hugePages = hugePages || isHugePages(name)
		ordinary = ordinary || name == corev1.ResourceCPU || name == corev1.ResourceMemory
	}
	for name, request := range r.Requests {
		hugePages = hugePages || isHugePages(name)
		ordinary = ordinary || name == corev1.ResourceCPU || name == corev1.ResourceMemory
		limit, limited := r.Limits[name]
		switch {
		case !limited && !overcommits(name):
			errs = append(errs, field.Required(limits, "Limit must be set for non overcommitable resources"))
		case !limited:
		case request.Cmp(limit) != 0 && !overcommits(name):
			errs = append(errs, field.Invalid(requests, request.String(), fmt.Sprintf("must be equal to %s limit of %s", name, limit.String())))
		case request.Cmp(limit) > 0:
			errs = append(errs, field.Invalid(requests, request.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String())))
		}
	}
	if hugePages && !ordinary {
		errs = append(errs, field.Forbidden(path, "HugePages require cpu or memory"))
	}
	return errs
}

// validateAmounts checks the names and values of what a container asks for.
func validateAmounts(list corev1.ResourceList, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for name, quantity := range list {
		path := path.Key(string(name))
		errs = append(errs, validateContainerResource(string(name), path)...)
		errs = append(errs, validateNonnegative(quantity, path)...)
		if wholeOnly(name) && quantity.MilliValue()%1000 != 0 {
			errs = append(errs, field.Invalid(path, quantity.String(), "must be an integer"))
		}
	}
	return errs
}

func validateNonnegative(quantity resource.Quantity, path *field.Path) field.ErrorList {
	if quantity.Sign() < 0 {
		return field.ErrorList{field.Invalid(path, quantity.String(), apivalidation.IsNegativeErrorMsg)}
	}
	return nil
}

func validateContainerResource(name string, path *field.Path) field.ErrorList {
	if msgs := validation.IsQualifiedName(name); len(msgs) > 0 {
		return invalidEach(path, name, msgs)
	}
	domain, _, qualified := strings.Cut(name, "/")
	switch {
	case !qualified && !standardResource(corev1.ResourceName(name)):
		return field.ErrorList{field.Invalid(path, name, "must be a standard resource for containers")}
	case !qualified, strings.HasSuffix(domain, "kubernetes.io"):
		return nil
	case strings.HasPrefix(name, corev1.DefaultResourceRequestsPrefix),
		len(validation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+name)) > 0:
		return field.ErrorList{field.Invalid(path, name, "doesn't follow extended resource name standard")}
	}
	return nil
}

func standardResource(name corev1.ResourceName) bool {
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return true
	}
	return isHugePages(name)
}

func isHugePages(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

// overcommits: of what requests may lie below limits. Extended resources and
// huge pages are handed out whole.
func overcommits(name corev1.ResourceName) bool {
	domain, _, qualified := strings.Cut(string(name), "/")
	return (!qualified || strings.HasSuffix(domain, "kubernetes.io")) && !isHugePages(name)
}

func wholeOnly(name corev1.ResourceName) bool {
	return !overcommits(name) && !isHugePages(name)
}
