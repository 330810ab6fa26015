package registry

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func podKind() *Kind {
	return typed(Kind{
		GVK:      corev1.SchemeGroupVersion.WithKind("Pod"),
		Resource: "pods", Singular: "pod",
		ShortNames: []string{"po"}, Categories: []string{"all"}, Namespaced: true,
		New:          func() runtime.Object { return &corev1.Pod{} },
		NewList:      func() runtime.Object { return &corev1.PodList{} },
		ValidateName: apivalidation.NameIsDNSSubdomain,
		FieldNames: []string{
			"spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
			"status.phase", "status.podIP", "status.nominatedNodeName",
		},
		Columns: podColumns(),
		Status:  true,
	}, funcs[*corev1.Pod]{
		Default:                defaultPod,
		PrepareForCreate:       prepareNewPod,
		PrepareForUpdate:       preparePodUpdate,
		PrepareForStatusUpdate: preparePodStatusUpdate,
		Validate:               validatePod,
		ValidateUpdate:         validatePodUpdate,
		ValidateStatusUpdate:   validatePodStatusUpdate,
		Unserved: func(pod, old *corev1.Pod) (field.ErrorList, []string) {
			if old == nil {
				return unservedPodSpec(&pod.Spec, nil, pod.Annotations, field.NewPath("spec"))
			}
			return unservedPodSpec(&pod.Spec, &old.Spec, pod.Annotations, field.NewPath("spec"))
		},
		Warnings: func(pod, old *corev1.Pod) []string {
			if old != nil {
				return nil
			}
			return podSpecWarnings(&pod.Spec, field.NewPath("spec"))
		},
		GracePeriod: podGracePeriod,
		Fields:      podFields,
		Row:         podRow,
	})
}

// prepareNewPod also holds the pod back from schedulers where it has gates.
func prepareNewPod(pod *corev1.Pod) {
	pod.Generation = 1
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: qosClass(&pod.Spec)}
	if len(pod.Spec.SchedulingGates) > 0 {
		pod.Status.Conditions = []corev1.PodCondition{{
			Type:    corev1.PodScheduled,
			Status:  corev1.ConditionFalse,
			Reason:  corev1.PodReasonSchedulingGated,
			Message: "Scheduling is blocked due to non-empty scheduling gates",
		}}
	}
}

func preparePodUpdate(pod, old *corev1.Pod) {
	pod.Status = old.Status
	pod.Generation = raised(old.Generation, equality.Semantic.DeepEqual(pod.Spec, old.Spec))
}

// preparePodStatusUpdate lets a node change labels and annotations with the
// status, as Kubernetes does, but neither owners nor a deletion.
func preparePodStatusUpdate(pod, old *corev1.Pod) {
	pod.Spec = old.Spec
	pod.DeletionTimestamp = old.DeletionTimestamp
	pod.DeletionGracePeriodSeconds = old.DeletionGracePeriodSeconds
	pod.OwnerReferences = old.OwnerReferences
	if pod.Status.QOSClass == "" {
		pod.Status.QOSClass = old.Status.QOSClass
	}
}

// podGracePeriod waits only for a pod that may run on a node.
func podGracePeriod(pod *corev1.Pod, asked *int64) (int64, bool) {
	seconds := int64(0)
	switch {
	case asked != nil:
		seconds = *asked
	case pod.Spec.TerminationGracePeriodSeconds != nil:
		seconds = *pod.Spec.TerminationGracePeriodSeconds
	}
	if seconds < 0 {
		seconds = 1
	}
	done := pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
	if pod.Spec.NodeName == "" || done {
		seconds = 0
	}
	return seconds, seconds > 0
}

func podFields(pod *corev1.Pod) fields.Set {
	return fields.Set{
		"spec.nodeName":            pod.Spec.NodeName,
		"spec.restartPolicy":       string(pod.Spec.RestartPolicy),
		"spec.schedulerName":       pod.Spec.SchedulerName,
		"spec.serviceAccountName":  pod.Spec.ServiceAccountName,
		"spec.hostNetwork":         strconv.FormatBool(pod.Spec.HostNetwork),
		"status.phase":             string(pod.Status.Phase),
		"status.podIP":             pod.Status.PodIP,
		"status.nominatedNodeName": pod.Status.NominatedNodeName,
	}
}

func podColumns() []metav1.TableColumnDefinition {
	spec, status := corev1.PodSpec{}.SwaggerDoc(), corev1.PodStatus{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		nameColumn(),
		column("Ready", "The aggregate readiness state of this pod for accepting traffic."),
		column("Status", "The aggregate status of the containers in this pod."),
		column("Restarts", "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted."),
		ageColumn(),
		wide(column("IP", status["podIP"])),
		wide(column("Node", spec["nodeName"])),
		wide(column("Nominated Node", status["nominatedNodeName"])),
		wide(column("Readiness Gates", spec["readinessGates"])),
	}
}
