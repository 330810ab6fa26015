package api

import (
	"context"

	corev1 "k8s.io/api/core/v1"
)

// podDefaults sets what Kubernetes' ServiceAccount and
// DefaultTolerationSeconds admission set on new pods. No token is mounted:
// service account tokens are not served.
type podDefaults struct{}

const (
	defaultServiceAccount = "default"
	// unreachableSeconds is how long a pod stays on a node that is gone.
	unreachableSeconds = 300
)

func (podDefaults) Admit(_ context.Context, a *Admission) error {
	pod, ok := a.Object.(*corev1.Pod)
	if !ok || a.Operation != Creating || a.Target.Subresource != "" {
		return nil
	}
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName = defaultServiceAccount
	}
	pod.Spec.DeprecatedServiceAccount = pod.Spec.ServiceAccountName
	tolerate(pod, corev1.TaintNodeNotReady)
	tolerate(pod, corev1.TaintNodeUnreachable)
	return nil
}

func tolerate(pod *corev1.Pod, taint string) {
	for _, t := range pod.Spec.Tolerations {
		if (t.Key == taint || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "") {
			return
		}
	}
	seconds := int64(unreachableSeconds)
	pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{
		Key: taint, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds,
	})
}
