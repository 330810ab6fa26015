package registry

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func namespaceKind() *Kind {
	return typed(Kind{
		GVK:      corev1.SchemeGroupVersion.WithKind("Namespace"),
		Resource: "namespaces", Singular: "namespace", ShortNames: []string{"ns"},
		New:          func() runtime.Object { return &corev1.Namespace{} },
		NewList:      func() runtime.Object { return &corev1.NamespaceList{} },
		ValidateName: validation.NameIsDNSLabel,
		FieldNames:   []string{"name", "status.phase"},
		Columns: []metav1.TableColumnDefinition{
			nameColumn(),
			column("Status", "The status of the namespace"),
			ageColumn(),
		},
		Status: true,
	}, funcs[*corev1.Namespace]{
		Default:                labelNamespace,
		PrepareForCreate:       prepareNewNamespace,
		PrepareForUpdate:       keepNamespaceStatus,
		PrepareForStatusUpdate: func(ns, old *corev1.Namespace) { ns.Spec = old.Spec },
		Validate:               validateNamespace,
		ValidateStatusUpdate:   validateNamespaceStatus,
		Fields: func(ns *corev1.Namespace) fields.Set {
			return fields.Set{"name": ns.Name, "status.phase": string(ns.Status.Phase)}
		},
		Row: func(ns *corev1.Namespace, now metav1.Time) []any {
			return []any{ns.Name, string(ns.Status.Phase), since(ns.CreationTimestamp.Time, now)}
		},
	})
}

// labelNamespace gives a namespace its name as a label, so that selectors can
// name it.
func labelNamespace(ns *corev1.Namespace) {
	if ns.Name == "" {
		return
	}
	if ns.Labels == nil {
		ns.Labels = map[string]string{}
	}
	ns.Labels[corev1.LabelMetadataName] = ns.Name
}

func prepareNewNamespace(ns *corev1.Namespace) {
	ns.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
	if !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		ns.Spec.Finalizers = append(ns.Spec.Finalizers, corev1.FinalizerKubernetes)
	}
}

// keepNamespaceStatus also keeps the finalizers, which the finalize
// subresource alone may change.
func keepNamespaceStatus(ns, old *corev1.Namespace) {
	ns.Spec.Finalizers = old.Spec.Finalizers
	ns.Status = old.Status
}

func validateNamespace(ns *corev1.Namespace) field.ErrorList {
	var errs field.ErrorList
	for i, name := range ns.Spec.Finalizers {
		errs = append(errs, validation.ValidateFinalizerName(string(name), field.NewPath("spec", "finalizers").Index(i))...)
	}
	return errs
}

func validateNamespaceStatus(ns, _ *corev1.Namespace) field.ErrorList {
	path := field.NewPath("status", "phase")
	if ns.DeletionTimestamp.IsZero() {
		if ns.Status.Phase != corev1.NamespaceActive {
			return field.ErrorList{field.Invalid(path, ns.Status.Phase, "may only be 'Active' if `deletionTimestamp` is empty")}
		}
	} else if ns.Status.Phase != corev1.NamespaceTerminating {
		return field.ErrorList{field.Invalid(path, ns.Status.Phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")}
	}
	return nil
}
