package api

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/pintle-io/pintle/core/registry"
)

// checkWriteOptions validates what the options of all writes have in common.
func checkWriteOptions(kind string, dryRun []string, manager string) (dry bool, err error) {
	if len(dryRun) == 0 && manager == "" {
		return false, nil
	}
	errs := validation.ValidateDryRun(field.NewPath("dryRun"), dryRun)
	errs = append(errs, validation.ValidateFieldManager(manager, field.NewPath("fieldManager"))...)
	if len(errs) > 0 {
		return false, apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: kind}, "", errs)
	}
	return len(dryRun) > 0, nil
}

func sameType(obj runtime.Object, k *registry.Kind) bool {
	return reflect.TypeOf(obj) == reflect.TypeOf(k.New())
}

// dedupOwners drops owner references that name one owner twice, with a
// warning.
func dedupOwners(ctx context.Context, m metav1.Object) {
	owners := m.GetOwnerReferences()
	if len(owners) < 2 {
		return
	}
	seen := make(map[string]bool, len(owners))
	kept := slices.DeleteFunc(slices.Clone(owners), func(o metav1.OwnerReference) bool {
		duplicate := seen[string(o.UID)]
		seen[string(o.UID)] = true
		return duplicate
	})
	if len(kept) < len(owners) {
		addWarnings(ctx, []string{fmt.Sprintf("metadata.ownerReferences contains duplicate entries; %d of %d were dropped", len(owners)-len(kept), len(owners))})
		m.SetOwnerReferences(kept)
	}
}

// addFinalizer puts a kind's own finalizer on a new object.
func addFinalizer(m metav1.Object, name string) {
	if !slices.Contains(m.GetFinalizers(), name) {
		m.SetFinalizers(append(m.GetFinalizers(), name))
	}
}
