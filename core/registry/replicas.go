package registry

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What ReplicationController and ReplicaSet have in common.

// replicaCounts are the numbers of the two statuses, which are types apart.
type replicaCounts struct {
	Replicas, FullyLabeled, Ready, Available int32
	ObservedGeneration                       int64
}

func replicaColumns(desired, current, ready, selector string) []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(),
		intColumn("Desired", desired),
		intColumn("Current", current),
		intColumn("Ready", ready),
		ageColumn(),
		wide(column("Containers", "Names of each container in the template.")),
		wide(column("Images", "Images referenced by each container in the template.")),
		wide(column("Selector", selector)),
	}
}

func replicaRow(meta metav1.Object, desired *int32, counts replicaCounts, template *corev1.PodTemplateSpec, selector string, now metav1.Time) []any {
	names, images := "", ""
	if template != nil {
		names, images = containerCells(template.Spec.Containers)
	}
	return []any{
		meta.GetName(), int64(orZero(desired)), int64(counts.Replicas), int64(counts.Ready),
		since(meta.GetCreationTimestamp().Time, now), names, images, selector,
	}
}

func replicaFields(replicas int32) fields.Set {
	return fields.Set{"status.replicas": strconv.Itoa(int(replicas))}
}

func validateReplicas(replicas *int32, minReadySeconds int32, spec *field.Path) field.ErrorList {
	errs := apivalidation.ValidateNonnegativeField(int64(minReadySeconds), spec.Child("minReadySeconds"))
	if replicas == nil {
		return append(errs, field.Required(spec.Child("replicas"), ""))
	}
	return append(errs, apivalidation.ValidateNonnegativeField(int64(*replicas), spec.Child("replicas"))...)
}

// validateReplicaTemplate checks a template whose pods the selector must match
// and which are replaced for ever.
func validateReplicaTemplate(kind string, template *corev1.PodTemplateSpec, selector labels.Selector, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if !selector.Empty() && !selector.Matches(labels.Set(template.Labels)) {
		errs = append(errs, field.Invalid(path.Child("metadata", "labels"), template.Labels, "`selector` does not match template `labels`"))
	}
	errs = append(errs, validateTemplate(template, path)...)
	if template.Spec.RestartPolicy != corev1.RestartPolicyAlways {
		errs = append(errs, field.NotSupported(path.Child("spec", "restartPolicy"), template.Spec.RestartPolicy, []corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	if template.Spec.ActiveDeadlineSeconds != nil {
		errs = append(errs, field.Forbidden(path.Child("spec", "activeDeadlineSeconds"), "activeDeadlineSeconds in "+kind+" is not Supported"))
	}
	return errs
}

func validateReplicaStatus(c replicaCounts) field.ErrorList {
	status := field.NewPath("status")
	var errs field.ErrorList
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"replicas", int64(c.Replicas)},
		{"fullyLabeledReplicas", int64(c.FullyLabeled)},
		{"readyReplicas", int64(c.Ready)},
		{"availableReplicas", int64(c.Available)},
		{"observedGeneration", c.ObservedGeneration},
	} {
		errs = append(errs, apivalidation.ValidateNonnegativeField(f.value, status.Child(f.name))...)
	}
	for _, most := range []struct {
		name  string
		value int32
	}{
		{"fullyLabeledReplicas", c.FullyLabeled},
		{"readyReplicas", c.Ready},
		{"availableReplicas", c.Available},
	} {
		if most.value > c.Replicas {
			errs = append(errs, field.Invalid(status.Child(most.name), most.value, "cannot be greater than status.replicas"))
		}
	}
	if c.Available > c.Ready {
		errs = append(errs, field.Invalid(status.Child("availableReplicas"), c.Available, "cannot be greater than readyReplicas"))
	}
	return errs
}

// raised is the generation after an update.
func raised(generation int64, same bool) int64 {
	if same {
		return generation
	}
	return generation + 1
}

func orZero(n *int32) int32 {
	if n == nil {
		return 0
	}
	return *n
}
