package registry

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func serviceAccountKind() *Kind {
	return typed(Kind{
		GVK:      corev1.SchemeGroupVersion.WithKind("ServiceAccount"),
		Resource: "serviceaccounts", Singular: "serviceaccount", ShortNames: []string{"sa"}, Namespaced: true,
		New:          func() runtime.Object { return &corev1.ServiceAccount{} },
		NewList:      func() runtime.Object { return &corev1.ServiceAccountList{} },
		ValidateName: validation.NameIsDNSSubdomain,
		Columns: []metav1.TableColumnDefinition{
			nameColumn(),
			intColumn("Secrets", corev1.ServiceAccount{}.SwaggerDoc()["secrets"]),
			ageColumn(),
		},
	}, funcs[*corev1.ServiceAccount]{
		Row: func(sa *corev1.ServiceAccount, now metav1.Time) []any {
			return []any{sa.Name, int64(len(sa.Secrets)), since(sa.CreationTimestamp.Time, now)}
		},
	})
}
