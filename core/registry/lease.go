package registry

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func leaseKind() *Kind {
	return typed(Kind{
		GVK:      coordinationv1.SchemeGroupVersion.WithKind("Lease"),
		Resource: "leases", Singular: "lease", Namespaced: true,
		CreateOnUpdate: true, ConditionalUpdate: true,
		New:          func() runtime.Object { return &coordinationv1.Lease{} },
		NewList:      func() runtime.Object { return &coordinationv1.LeaseList{} },
		ValidateName: validation.NameIsDNSSubdomain,
		Columns: []metav1.TableColumnDefinition{
			nameColumn(),
			column("Holder", coordinationv1.LeaseSpec{}.SwaggerDoc()["holderIdentity"]),
			ageColumn(),
		},
	}, funcs[*coordinationv1.Lease]{
		Validate: validateLease,
		Unserved: unservedLease,
		Row: func(l *coordinationv1.Lease, now metav1.Time) []any {
			holder := ""
			if l.Spec.HolderIdentity != nil {
				holder = *l.Spec.HolderIdentity
			}
			return []any{l.Name, holder, since(l.CreationTimestamp.Time, now)}
		},
	})
}

func validateLease(l *coordinationv1.Lease) field.ErrorList {
	var errs field.ErrorList
	spec := field.NewPath("spec")
	if d := l.Spec.LeaseDurationSeconds; d != nil && *d <= 0 {
		errs = append(errs, field.Invalid(spec.Child("leaseDurationSeconds"), *d, "must be greater than 0"))
	}
	if n := l.Spec.LeaseTransitions; n != nil && *n < 0 {
		errs = append(errs, field.Invalid(spec.Child("leaseTransitions"), *n, "must be greater than or equal to 0"))
	}
	return errs
}

const noCoordination = "coordinated leader election is not served"

var leaseFields = fieldTable[coordinationv1.LeaseSpec]{
	served: []string{"holderIdentity", "leaseDurationSeconds", "acquireTime", "renewTime", "leaseTransitions"},
	unserved: []unservedField[coordinationv1.LeaseSpec]{
		{"strategy", func(s *coordinationv1.LeaseSpec) bool { return s.Strategy != nil }, true, noCoordination},
		{"preferredHolder", func(s *coordinationv1.LeaseSpec) bool { return s.PreferredHolder != nil }, true, noCoordination},
	},
}

func unservedLease(l, old *coordinationv1.Lease) (field.ErrorList, []string) {
	var r unservedReport
	var before *coordinationv1.LeaseSpec
	if old != nil {
		before = &old.Spec
	}
	leaseFields.check(&r, &l.Spec, before, field.NewPath("spec"))
	return r.refused, r.warnings
}
