package api

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/core/registry"
	"github.com/pintle-io/pintle/core/store"
)

// namespaceLifecycle refuses new objects in a namespace that is not there or
// goes away, and the deletion of namespaces that the cluster needs.
type namespaceLifecycle struct{ store store.Store }

var (
	namespaceResource = schema.GroupResource{Resource: "namespaces"}
	// namespaceLayout is what finding fields in a stored namespace needs to know.
	namespaceLayout = &registry.Kind{GVK: corev1.SchemeGroupVersion.WithKind("Namespace"), Resource: "namespaces"}
)

func immortal(name string) bool {
	return name == metav1.NamespaceDefault || name == metav1.NamespaceSystem || name == metav1.NamespacePublic
}

func (l *namespaceLifecycle) Admit(ctx context.Context, a *Admission) error {
	switch {
	case a.Operation == Deleting && a.Kind.GroupResource() == namespaceResource && immortal(a.Target.Name):
		return errors.New("this namespace may not be deleted")
	case a.Operation == Creating && a.Kind.Namespaced:
		return l.admitInto(ctx, a)
	}
	return nil
}

func (l *namespaceLifecycle) admitInto(ctx context.Context, a *Admission) error {
	namespace := a.Target.Namespace
	entry, err := l.store.Get(ctx, objectKey(namespaceLayout, "", namespace))
	if errors.Is(err, store.ErrNotFound) {
		return apierrors.NewNotFound(namespaceResource, namespace)
	}
	if err != nil {
		return storeError(err)
	}
	if _, terminating := metadataField(namespaceLayout, entry.Value, "deletionTimestamp"); !terminating {
		return nil
	}
	refused := apierrors.NewForbidden(a.Kind.GroupResource(), a.Target.Name,
		fmt.Errorf("unable to create new content in namespace %s because it is being terminated", namespace))
	refused.ErrStatus.Details.Causes = append(refused.ErrStatus.Details.Causes, metav1.StatusCause{
		Type:    corev1.NamespaceTerminatingCause,
		Message: fmt.Sprintf("namespace %s is being terminated", namespace),
		Field:   "metadata.namespace",
	})
	return refused
}
