package podstatus

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/pintle-io/pintle/core/node/internal/podspec"
)

// phase follows from the containers' states. A pod with a container that still
// runs is never in a final phase.
func phase(in Input, s *corev1.PodStatus) corev1.PodPhase {
	if p := in.Pod.Status.Phase; isFinal(p) {
		return p
	}
	anyRunning := false
	for _, st := range append(append([]corev1.ContainerStatus{}, s.InitContainerStatuses...), s.ContainerStatuses...) {
		anyRunning = anyRunning || st.State.Running != nil
	}
	p := computePhase(in, s)
	if in.Failure != nil {
		p = corev1.PodFailed
	}
	if isFinal(p) && anyRunning {
		if in.Pod.Status.Phase == corev1.PodPending {
			return corev1.PodPending
		}
		return corev1.PodRunning
	}
	return p
}

// Finished: all containers but sidecars have ended for good. The sidecars are
// then to be ended too; until they have, the phase is not a final one.
func Finished(in Input) bool {
	s := Generate(in)
	return isFinal(s.Phase) || isFinal(computePhase(in, &s))
}

func isFinal(p corev1.PodPhase) bool { return p == corev1.PodFailed || p == corev1.PodSucceeded }

func computePhase(in Input, s *corev1.PodStatus) corev1.PodPhase {
	policy := in.Pod.Spec.RestartPolicy
	pendingInit, failedInit := 0, 0
	for i, st := range s.InitContainerStatuses {
		if podspec.IsSidecar(&in.Pod.Spec.InitContainers[i]) {
			if st.Started == nil || !*st.Started {
				if st.State.Terminated == nil && st.LastTerminationState.Terminated == nil {
					pendingInit++
				}
			}
			continue
		}
		switch {
		case st.State.Running != nil:
			pendingInit++
		case st.State.Terminated != nil:
			if st.State.Terminated.ExitCode != 0 {
				failedInit++
			}
		case st.LastTerminationState.Terminated != nil:
			if st.LastTerminationState.Terminated.ExitCode != 0 {
				failedInit++
			}
		default:
			pendingInit++
		}
	}
	var running, waiting, stopped, succeeded int
	for _, st := range s.ContainerStatuses {
		switch {
		case st.State.Running != nil:
			running++
		case st.State.Terminated != nil:
			stopped++
			if st.State.Terminated.ExitCode == 0 {
				succeeded++
			}
		case st.LastTerminationState.Terminated != nil:
			stopped++
		default:
			waiting++
		}
	}
	if failedInit > 0 && (policy == corev1.RestartPolicyNever || in.Ending) {
		return corev1.PodFailed
	}
	if in.Ending && running == 0 {
		// Nothing will be started again: what never ran counts as failed.
		if stopped > 0 && stopped == succeeded && waiting == 0 && pendingInit == 0 {
			return corev1.PodSucceeded
		}
		return corev1.PodFailed
	}
	switch {
	case pendingInit > 0 && running == 0 && stopped == 0, failedInit > 0, waiting > 0:
		return corev1.PodPending
	case running > 0:
		return corev1.PodRunning
	case stopped == 0:
		return corev1.PodPending
	case policy == corev1.RestartPolicyAlways || policy == "":
		return corev1.PodRunning
	case stopped == succeeded:
		return corev1.PodSucceeded
	case policy == corev1.RestartPolicyNever:
		return corev1.PodFailed
	default:
		return corev1.PodRunning
	}
}
