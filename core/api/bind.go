package api

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Bind assigns a pod to a node, as a POST to its binding subresource does.
func (s *Service) Bind(ctx context.Context, namespace string, binding *corev1.Binding, opts CreateOptions) error {
	t := Target{Resource: podResource, Namespace: namespace, Name: binding.Name, Subresource: subBinding}
	_, err := s.CreateDocument(ctx, t, binding, opts)
	return err
}

func (s *Service) createBinding(ctx context.Context, r *request, obj runtime.Object, dryRun bool) (*Document, error) {
	binding, ok := obj.(*corev1.Binding)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Binding object: %T", obj))
	}
	if binding.Name != r.Name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Binding object")
	}
	if err := r.checkNamespace(binding); err != nil {
		return nil, err
	}
	if errs := validateBinding(binding); len(errs) > 0 {
		return nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Binding").GroupKind(), r.Name, errs)
	}
	adm := &Admission{Operation: Creating, Target: r.Target, Kind: r.kind, User: r.user, Object: binding, DryRun: dryRun}
	if err := s.admit(ctx, adm); err != nil {
		return nil, err
	}
	_, _, err := s.modify(ctx, r, &modification{
		internal: true, dryRun: dryRun,
		next: func(_ context.Context, old current) (runtime.Object, error) {
			return r.bind(old.object.(*corev1.Pod).DeepCopy(), binding, metav1.NewTime(s.clock.Now()).Rfc3339Copy())
		},
	})
	if err != nil {
		return nil, err
	}
	return success(), nil
}

func validateBinding(b *corev1.Binding) field.ErrorList {
	var errs field.ErrorList
	if kind := b.Target.Kind; kind != "" && kind != "Node" {
		errs = append(errs, field.NotSupported(field.NewPath("target", "kind"), kind, []string{"Node", "<empty>"}))
	}
	if b.Target.Name == "" {
		errs = append(errs, field.Required(field.NewPath("target", "name"), ""))
	}
	return errs
}

// bind changes a pod as Kubernetes' binding does.
func (r *request) bind(pod *corev1.Pod, binding *corev1.Binding, now metav1.Time) (runtime.Object, error) {
	var p metav1.Preconditions
	if binding.UID != "" {
		p.UID = &binding.UID
	}
	if binding.ResourceVersion != "" {
		p.ResourceVersion = &binding.ResourceVersion
	}
	if err := r.checkPreconditions(pod, &p); err != nil {
		return nil, err
	}
	conflict := func(format string, args ...any) error {
		return apierrors.NewConflict(schema.GroupResource{Resource: "pods/binding"}, pod.Name, fmt.Errorf(format, args...))
	}
	switch {
	case pod.DeletionTimestamp != nil:
		return nil, conflict("pod %s is being deleted, cannot be assigned to a host", pod.Name)
	case pod.Spec.NodeName != "":
		return nil, conflict("pod %s is already assigned to node %q", pod.Name, pod.Spec.NodeName)
	case len(pod.Spec.SchedulingGates) > 0:
		return nil, conflict("pod %s has non-empty .spec.schedulingGates", pod.Name)
	}
	pod.Spec.NodeName = binding.Target.Name
	pod.Status.NominatedNodeName = ""
	for k, v := range binding.Annotations {
		metav1.SetMetaDataAnnotation(&pod.ObjectMeta, k, v)
	}
	for k, v := range binding.Labels {
		metav1.SetMetaDataLabel(&pod.ObjectMeta, k, v)
	}
	setPodCondition(&pod.Status, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: now})
	return pod, nil
}

// setPodCondition adds or replaces a condition and keeps its time of
// transition where the status did not change.
func setPodCondition(status *corev1.PodStatus, c corev1.PodCondition) {
	for i := range status.Conditions {
		have := &status.Conditions[i]
		if have.Type != c.Type {
			continue
		}
		if have.Status == c.Status {
			c.LastTransitionTime = have.LastTransitionTime
		}
		*have = c
		return
	}
	status.Conditions = append(status.Conditions, c)
}

// success is what Kubernetes answers where there is no object to show.
func success() *Document {
	return virtualDocument(nil, &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusSuccess, Code: 201,
	})
}
