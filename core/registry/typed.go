package registry

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// funcs are the functions of a Kind in the kind's own type; see Kind for what
// each does. Where Kind says that old is nil, it is the nil pointer here.
type funcs[T runtime.Object] struct {
	Default func(obj T)

	PrepareForCreate       func(obj T)
	PrepareForUpdate       func(obj, old T)
	PrepareForStatusUpdate func(obj, old T)

	Validate             func(obj T) field.ErrorList
	ValidateUpdate       func(obj, old T) field.ErrorList
	ValidateStatusUpdate func(obj, old T) field.ErrorList

	Unserved func(obj, old T) (refused field.ErrorList, warnings []string)
	Warnings func(obj, old T) []string

	Claims   func(obj T) []string
	Allocate func(ctx context.Context, a Allocator, obj, old T) ([]string, error)

	Fields func(obj T) fields.Set
	Row    func(obj T, now metav1.Time) []any

	GracePeriod func(obj T, asked *int64) (seconds int64, graceful bool)
}

// typed completes an entry with functions in the kind's own type.
func typed[T runtime.Object](k Kind, f funcs[T]) *Kind {
	k.Default = with(f.Default)
	if g := f.PrepareForCreate; g != nil {
		k.PrepareForCreate = func(_ context.Context, obj runtime.Object) { g(obj.(T)) }
	}
	k.PrepareForUpdate = prepareWith(f.PrepareForUpdate)
	k.PrepareForStatusUpdate = prepareWith(f.PrepareForStatusUpdate)
	if g := f.Validate; g != nil {
		k.Validate = func(obj runtime.Object) field.ErrorList { return g(obj.(T)) }
	}
	k.ValidateUpdate = checkWith(f.ValidateUpdate)
	k.ValidateStatusUpdate = checkWith(f.ValidateStatusUpdate)
	if g := f.Unserved; g != nil {
		k.Unserved = func(obj, old runtime.Object) (field.ErrorList, []string) {
			return g(obj.(T), orNil[T](old))
		}
	}
	if g := f.Warnings; g != nil {
		k.Warnings = func(obj, old runtime.Object) []string { return g(obj.(T), orNil[T](old)) }
	}
	if g := f.Claims; g != nil {
		k.Claims = func(obj runtime.Object) []string { return g(obj.(T)) }
	}
	if g := f.Allocate; g != nil {
		k.Allocate = func(ctx context.Context, a Allocator, obj, old runtime.Object) ([]string, error) {
			return g(ctx, a, obj.(T), orNil[T](old))
		}
	}
	if g := f.Fields; g != nil {
		k.Fields = func(obj runtime.Object) fields.Set { return g(obj.(T)) }
	}
	if g := f.Row; g != nil {
		k.Row = func(obj runtime.Object, now metav1.Time) []any { return g(obj.(T), now) }
	}
	if g := f.GracePeriod; g != nil {
		k.GracePeriod = func(obj runtime.Object, asked *int64) (int64, bool) { return g(obj.(T), asked) }
	}
	return &k
}

func with[T runtime.Object](f func(T)) func(runtime.Object) {
	if f == nil {
		return nil
	}
	return func(obj runtime.Object) { f(obj.(T)) }
}

func prepareWith[T runtime.Object](f func(obj, old T)) func(context.Context, runtime.Object, runtime.Object) {
	if f == nil {
		return nil
	}
	return func(_ context.Context, obj, old runtime.Object) { f(obj.(T), old.(T)) }
}

func checkWith[T runtime.Object](f func(obj, old T) field.ErrorList) func(obj, old runtime.Object) field.ErrorList {
	if f == nil {
		return nil
	}
	return func(obj, old runtime.Object) field.ErrorList { return f(obj.(T), old.(T)) }
}

func orNil[T runtime.Object](obj runtime.Object) T {
	if obj == nil {
		var none T
		return none
	}
	return obj.(T)
}
