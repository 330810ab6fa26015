package api

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const evictedByAPI = "EvictionByEvictionAPI"

// Evict deletes a pod as a POST to its eviction subresource does.
// PodDisruptionBudgets are not served, so none is in the way.
func (s *Service) Evict(ctx context.Context, namespace string, eviction *policyv1.Eviction, opts CreateOptions) error {
	t := Target{Resource: podResource, Namespace: namespace, Name: eviction.Name, Subresource: subEviction}
	_, err := s.CreateDocument(ctx, t, eviction, opts)
	return err
}

func (s *Service) createEviction(ctx context.Context, r *request, obj runtime.Object, dryRun bool) (*Document, error) {
	eviction, ok := obj.(*policyv1.Eviction)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Eviction object: %T", obj))
	}
	if eviction.Name != r.Name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Eviction object")
	}
	if err := r.checkNamespace(eviction); err != nil {
		return nil, err
	}
	var opts DeleteOptions
	if eviction.DeleteOptions != nil {
		opts = *eviction.DeleteOptions
	}
	if dryRun {
		opts.DryRun = []string{metav1.DryRunAll}
	}
	if err := checkDeleteOptions(&opts); err != nil {
		return nil, err
	}
	adm := &Admission{Operation: Creating, Target: r.Target, Kind: r.kind, User: r.user, Object: eviction, DryRun: dryRun}
	if err := s.admit(ctx, adm); err != nil {
		return nil, err
	}
	pod := *r
	pod.Subresource = ""
	if len(opts.DryRun) == 0 {
		if err := s.markEvicted(ctx, &pod, &opts); err != nil {
			return nil, err
		}
	}
	if _, _, err := s.delete(ctx, &pod, &opts); err != nil {
		return nil, err
	}
	return success(), nil
}

// markEvicted says in a pod's status why it goes away.
func (s *Service) markEvicted(ctx context.Context, r *request, opts *DeleteOptions) error {
	doc, _, err := s.modify(ctx, r, &modification{
		internal: true,
		next: func(_ context.Context, old current) (runtime.Object, error) {
			pod := old.object.(*corev1.Pod).DeepCopy()
			if err := r.checkPreconditions(pod, opts.Preconditions); err != nil {
				return nil, err
			}
			if pod.Spec.NodeName == "" || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
				return pod, nil
			}
			setPodCondition(&pod.Status, corev1.PodCondition{
				Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: evictedByAPI,
				Message: "Eviction API: evicting", LastTransitionTime: metav1.NewTime(s.clock.Now()).Rfc3339Copy(),
			})
			return pod, nil
		},
	})
	if err != nil {
		return err
	}
	if p := opts.Preconditions; p != nil && p.ResourceVersion != nil {
		rev := FormatRevision(doc.Revision())
		opts.Preconditions = &metav1.Preconditions{UID: p.UID, ResourceVersion: &rev}
	}
	return nil
}
