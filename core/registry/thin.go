package registry

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validatePod(pod *corev1.Pod) field.ErrorList {
	return validatePodSpec(&pod.Spec, field.NewPath("spec"))
}
func validatePodSpec(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(spec.Containers) == 0 {
		errs = append(errs, field.Required(path.Child("containers"), ""))
	}
	for i, c := range spec.Containers {
		if c.Name == "" {
			errs = append(errs, field.Required(path.Child("containers").Index(i).Child("name"), ""))
		} else {
			errs = append(errs, invalidEach(path.Child("containers").Index(i).Child("name"), c.Name, validation.IsDNS1123Label(c.Name))...)
		}
		if c.Image == "" {
			errs = append(errs, field.Required(path.Child("containers").Index(i).Child("image"), ""))
		}
	}
	return errs
}
func validatePodUpdate(pod, old *corev1.Pod) field.ErrorList       { return nil }
func validatePodStatusUpdate(pod, old *corev1.Pod) field.ErrorList { return nil }
func unservedPodSpec(spec, old *corev1.PodSpec, annotations map[string]string, path *field.Path) (field.ErrorList, []string) {
	return nil, nil
}
func podSpecWarnings(spec *corev1.PodSpec, path *field.Path) []string { return nil }
func validateTemplate(t *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	return validatePodSpec(&t.Spec, path.Child("spec"))
}
func unservedTemplate(t, old *corev1.PodTemplateSpec, path *field.Path) (field.ErrorList, []string) {
	return nil, nil
}
func templateWarnings(t, old *corev1.PodTemplateSpec, path *field.Path) []string { return nil }
func validateService(svc *corev1.Service) field.ErrorList {
	var errs field.ErrorList
	if len(svc.Spec.Ports) == 0 && !isHeadless(svc) && svc.Spec.Type != corev1.ServiceTypeExternalName {
		errs = append(errs, field.Required(field.NewPath("spec", "ports"), ""))
	}
	return errs
}
func validateServiceUpdate(svc, old *corev1.Service) field.ErrorList { return nil }
func validateLoadBalancerStatus(s *corev1.LoadBalancerStatus, path *field.Path, spec *corev1.ServiceSpec) field.ErrorList {
	return nil
}
func unservedService(svc, old *corev1.Service) (field.ErrorList, []string) { return nil, nil }
func serviceWarnings(svc, old *corev1.Service) []string                    { return nil }
func validateNonnegative(q resource.Quantity, path *field.Path) field.ErrorList {
	if q.Cmp(resource.Quantity{}) < 0 {
		return field.ErrorList{field.Invalid(path, q.String(), apivalidation.IsNegativeErrorMsg)}
	}
	return nil
}
