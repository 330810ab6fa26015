package registry

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func replicationControllerKind() *Kind {
	spec, status := corev1.ReplicationControllerSpec{}.SwaggerDoc(), corev1.ReplicationControllerStatus{}.SwaggerDoc()
	return typed(Kind{
		GVK:      corev1.SchemeGroupVersion.WithKind("ReplicationController"),
		Resource: "replicationcontrollers", Singular: "replicationcontroller",
		ShortNames: []string{"rc"}, Categories: []string{"all"}, Namespaced: true,
		New:          func() runtime.Object { return &corev1.ReplicationController{} },
		NewList:      func() runtime.Object { return &corev1.ReplicationControllerList{} },
		ValidateName: validation.NameIsDNSSubdomain,
		FieldNames:   []string{"status.replicas"},
		Columns:      replicaColumns(spec["replicas"], status["replicas"], status["readyReplicas"], spec["selector"]),
		Status:       true,
		Scale: &Scale{
			Get: func(obj runtime.Object) ScaleValue {
				rc := obj.(*corev1.ReplicationController)
				return ScaleValue{
					Desired: orZero(rc.Spec.Replicas), Replicas: rc.Status.Replicas, ReadyReplicas: rc.Status.ReadyReplicas,
					Selector: labels.SelectorFromSet(rc.Spec.Selector).String(),
				}
			},
			Set: func(obj runtime.Object, replicas int32) {
				obj.(*corev1.ReplicationController).Spec.Replicas = &replicas
			},
		},
	}, funcs[*corev1.ReplicationController]{
		Default: defaultReplicationController,
		PrepareForCreate: func(rc *corev1.ReplicationController) {
			rc.Status = corev1.ReplicationControllerStatus{}
			rc.Generation = 1
		},
		PrepareForUpdate: func(rc, old *corev1.ReplicationController) {
			rc.Status = old.Status
			rc.Generation = raised(old.Generation, equality.Semantic.DeepEqual(rc.Spec, old.Spec))
		},
		PrepareForStatusUpdate: func(rc, old *corev1.ReplicationController) { rc.Spec = old.Spec },
		Validate:               validateReplicationController,
		ValidateStatusUpdate: func(rc, _ *corev1.ReplicationController) field.ErrorList {
			return validateReplicaStatus(replicaStatus(rc.Status))
		},
		Unserved: func(rc, old *corev1.ReplicationController) (field.ErrorList, []string) {
			var before *corev1.PodTemplateSpec
			if old != nil {
				before = old.Spec.Template
			}
			return unservedTemplate(rc.Spec.Template, before, field.NewPath("spec", "template"))
		},
		Warnings: func(rc, old *corev1.ReplicationController) []string {
			var before *corev1.PodTemplateSpec
			if old != nil {
				before = old.Spec.Template
			}
			return templateWarnings(rc.Spec.Template, before, field.NewPath("spec", "template"))
		},
		Fields: func(rc *corev1.ReplicationController) fields.Set { return replicaFields(rc.Status.Replicas) },
		Row: func(rc *corev1.ReplicationController, now metav1.Time) []any {
			return replicaRow(rc, rc.Spec.Replicas, replicaStatus(rc.Status), rc.Spec.Template, labels.FormatLabels(rc.Spec.Selector), now)
		},
	})
}

func defaultReplicationController(rc *corev1.ReplicationController) {
	if rc.Spec.Replicas == nil {
		rc.Spec.Replicas = new(int32(1))
	}
	if rc.Spec.Template == nil {
		return
	}
	if of := rc.Spec.Template.Labels; len(of) > 0 {
		if len(rc.Spec.Selector) == 0 {
			rc.Spec.Selector = maps.Clone(of)
		}
		if len(rc.Labels) == 0 {
			rc.Labels = maps.Clone(of)
		}
	}
	defaultTemplate(rc.Spec.Template)
}

func validateReplicationController(rc *corev1.ReplicationController) field.ErrorList {
	spec := field.NewPath("spec")
	errs := validateReplicas(rc.Spec.Replicas, rc.Spec.MinReadySeconds, spec)
	if len(rc.Spec.Selector) == 0 {
		errs = append(errs, field.Required(spec.Child("selector"), ""))
	}
	selector := labels.Set(rc.Spec.Selector).AsSelectorPreValidated()
	if rc.Spec.Template == nil {
		return append(errs, field.Required(spec.Child("template"), ""))
	}
	return append(errs, validateReplicaTemplate("ReplicationController", rc.Spec.Template, selector, spec.Child("template"))...)
}

// replicaStatus has the numbers that controllers of replicas share.
func replicaStatus(s corev1.ReplicationControllerStatus) replicaCounts {
	return replicaCounts{
		Replicas: s.Replicas, FullyLabeled: s.FullyLabeledReplicas, Ready: s.ReadyReplicas,
		Available: s.AvailableReplicas, ObservedGeneration: s.ObservedGeneration,
	}
}
