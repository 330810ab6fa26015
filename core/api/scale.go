package api

import (
	"context"
	"fmt"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/pintle-io/pintle/core/registry"
)

// scaleOf shows an object as its scale.
func scaleOf(k *registry.Kind, obj runtime.Object) *autoscalingv1.Scale {
	m, v := metaOf(obj), k.Scale.Get(obj)
	return &autoscalingv1.Scale{
		TypeMeta: metav1.TypeMeta{Kind: "Scale", APIVersion: autoscalingv1.SchemeGroupVersion.String()},
		ObjectMeta: metav1.ObjectMeta{
			Name: m.GetName(), Namespace: m.GetNamespace(), UID: m.GetUID(),
			ResourceVersion: m.GetResourceVersion(), CreationTimestamp: m.GetCreationTimestamp(),
		},
		Spec:   autoscalingv1.ScaleSpec{Replicas: v.Desired},
		Status: autoscalingv1.ScaleStatus{Replicas: v.Replicas, Selector: v.Selector},
	}
}

func scaleDocument(doc *Document) (*Document, error) {
	obj, err := doc.Object()
	if err != nil {
		return nil, err
	}
	return virtualDocument(nil, scaleOf(doc.kind, obj)), nil
}

// updateScale replaces the scale of an object.
func (s *Service) updateScale(ctx context.Context, r *request, obj runtime.Object, manager string, dryRun bool) (*Document, error) {
	scale, ok := obj.(*autoscalingv1.Scale)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("expected input object type to be Scale, but %T", obj))
	}
	if scale.Name != "" && scale.Name != r.Name {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", scale.Name, r.Name))
	}
	return s.modifyScale(ctx, r, manager, dryRun, func(*autoscalingv1.Scale) (*autoscalingv1.Scale, error) { return scale, nil })
}

// modifyScale changes the scale of an object, which is an update of its spec.
func (s *Service) modifyScale(ctx context.Context, r *request, manager string, dryRun bool, next func(old *autoscalingv1.Scale) (*autoscalingv1.Scale, error)) (*Document, error) {
	doc, _, err := s.modify(ctx, r, &modification{
		manager: manager, dryRun: dryRun,
		next: func(_ context.Context, old current) (runtime.Object, error) {
			scale, err := next(scaleOf(r.kind, old.object))
			if err != nil {
				return nil, err
			}
			if scale.Spec.Replicas < 0 {
				return nil, apierrors.NewInvalid(autoscalingv1.SchemeGroupVersion.WithKind("Scale").GroupKind(), r.Name, field.ErrorList{
					field.Invalid(field.NewPath("spec", "replicas"), scale.Spec.Replicas, "must be greater than or equal to 0"),
				})
			}
			obj := old.object.DeepCopyObject()
			m := metaOf(obj)
			m.SetUID(scale.UID)
			m.SetResourceVersion(scale.ResourceVersion)
			r.kind.Scale.Set(obj, scale.Spec.Replicas)
			return obj, nil
		},
	})
	if err != nil {
		return nil, err
	}
	return scaleDocument(doc)
}
