package registry

import (
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func replicaSetKind() *Kind {
	spec, status := appsv1.ReplicaSetSpec{}.SwaggerDoc(), appsv1.ReplicaSetStatus{}.SwaggerDoc()
	return typed(Kind{
		GVK:      appsv1.SchemeGroupVersion.WithKind("ReplicaSet"),
		Resource: "replicasets", Singular: "replicaset",
		ShortNames: []string{"rs"}, Categories: []string{"all"}, Namespaced: true,
		New:          func() runtime.Object { return &appsv1.ReplicaSet{} },
		NewList:      func() runtime.Object { return &appsv1.ReplicaSetList{} },
		ValidateName: apivalidation.NameIsDNSSubdomain,
		FieldNames:   []string{"status.replicas"},
		Columns:      replicaColumns(spec["replicas"], status["replicas"], status["readyReplicas"], spec["selector"]),
		Status:       true,
		Scale: &Scale{
			Get: func(obj runtime.Object) ScaleValue {
				rs := obj.(*appsv1.ReplicaSet)
				return ScaleValue{
					Desired: orZero(rs.Spec.Replicas), Replicas: rs.Status.Replicas, ReadyReplicas: rs.Status.ReadyReplicas,
					Selector: selectorString(rs.Spec.Selector),
				}
			},
			Set: func(obj runtime.Object, replicas int32) { obj.(*appsv1.ReplicaSet).Spec.Replicas = &replicas },
		},
	}, funcs[*appsv1.ReplicaSet]{
		Default: defaultReplicaSet,
		PrepareForCreate: func(rs *appsv1.ReplicaSet) {
			rs.Status = appsv1.ReplicaSetStatus{}
			rs.Generation = 1
		},
		PrepareForUpdate: func(rs, old *appsv1.ReplicaSet) {
			rs.Status = old.Status
			rs.Generation = raised(old.Generation, equality.Semantic.DeepEqual(rs.Spec, old.Spec))
		},
		PrepareForStatusUpdate: func(rs, old *appsv1.ReplicaSet) { rs.Spec = old.Spec },
		Validate:               validateReplicaSet,
		ValidateUpdate: func(rs, old *appsv1.ReplicaSet) field.ErrorList {
			return apivalidation.ValidateImmutableField(rs.Spec.Selector, old.Spec.Selector, field.NewPath("spec", "selector"))
		},
		ValidateStatusUpdate: func(rs, _ *appsv1.ReplicaSet) field.ErrorList {
			return validateReplicaStatus(replicaSetCounts(rs.Status))
		},
		Unserved: func(rs, old *appsv1.ReplicaSet) (field.ErrorList, []string) {
			if old == nil {
				return unservedTemplate(&rs.Spec.Template, nil, field.NewPath("spec", "template"))
			}
			return unservedTemplate(&rs.Spec.Template, &old.Spec.Template, field.NewPath("spec", "template"))
		},
		Warnings: func(rs, old *appsv1.ReplicaSet) []string {
			if old == nil {
				return templateWarnings(&rs.Spec.Template, nil, field.NewPath("spec", "template"))
			}
			return templateWarnings(&rs.Spec.Template, &old.Spec.Template, field.NewPath("spec", "template"))
		},
		Fields: func(rs *appsv1.ReplicaSet) fields.Set { return replicaFields(rs.Status.Replicas) },
		Row: func(rs *appsv1.ReplicaSet, now metav1.Time) []any {
			return replicaRow(rs, rs.Spec.Replicas, replicaSetCounts(rs.Status), &rs.Spec.Template, metav1.FormatLabelSelector(rs.Spec.Selector), now)
		},
	})
}

func defaultReplicaSet(rs *appsv1.ReplicaSet) {
	if rs.Spec.Replicas == nil {
		rs.Spec.Replicas = new(int32(1))
	}
	if of := rs.Spec.Template.Labels; len(of) > 0 && len(rs.Labels) == 0 {
		rs.Labels = maps.Clone(of)
	}
	defaultTemplate(&rs.Spec.Template)
}

func validateReplicaSet(rs *appsv1.ReplicaSet) field.ErrorList {
	spec := field.NewPath("spec")
	errs := validateReplicas(rs.Spec.Replicas, rs.Spec.MinReadySeconds, spec)
	path := spec.Child("selector")
	if rs.Spec.Selector == nil {
		errs = append(errs, field.Required(path, ""))
	} else {
		errs = append(errs, metavalidation.ValidateLabelSelector(rs.Spec.Selector, metavalidation.LabelSelectorValidationOptions{}, path)...)
		if len(rs.Spec.Selector.MatchLabels)+len(rs.Spec.Selector.MatchExpressions) == 0 {
			errs = append(errs, field.Invalid(path, rs.Spec.Selector, "empty selector is invalid for deployment"))
		}
	}
	selector, err := metav1.LabelSelectorAsSelector(rs.Spec.Selector)
	if err != nil {
		return append(errs, field.Invalid(path, rs.Spec.Selector, "invalid label selector"))
	}
	return append(errs, validateReplicaTemplate("ReplicaSet", &rs.Spec.Template, selector, spec.Child("template"))...)
}

func replicaSetCounts(s appsv1.ReplicaSetStatus) replicaCounts {
	return replicaCounts{
		Replicas: s.Replicas, FullyLabeled: s.FullyLabeledReplicas, Ready: s.ReadyReplicas,
		Available: s.AvailableReplicas, ObservedGeneration: s.ObservedGeneration,
	}
}

func selectorString(ls *metav1.LabelSelector) string {
	selector, err := metav1.LabelSelectorAsSelector(ls)
	if err != nil {
		return labels.Nothing().String()
	}
	return selector.String()
}
