package pods

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/pintle-io/pintle/core/node/internal/podspec"
	"github.com/pintle-io/pintle/core/node/internal/podstatus"
	"github.com/pintle-io/pintle/core/node/internal/runtimeview"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// status of the pod as it is now.
func (w *worker) status(pod *corev1.Pod, rt runtimeview.Pod, ending bool) corev1.PodStatus {
	return podstatus.Generate(w.statusInput(pod, rt, ending))
}

// statusInput is what the status is made of.
func (w *worker) statusInput(pod *corev1.Pod, rt runtimeview.Pod, ending bool) podstatus.Input {
	w.mu.Lock()
	failure, last := w.failure, w.last
	w.mu.Unlock()
	base := pod
	if last != nil {
		// The API lags behind what this worker said itself; conditions of
		// others are the API's to know.
		merged := *pod
		merged.Status = *last
		merged.Status.Conditions = withOthers(last.Conditions, pod.Status.Conditions)
		if ended(pod) {
			merged.Status.Phase = pod.Status.Phase
		}
		base = &merged
	}
	started, ready := map[string]bool{}, map[string]bool{}
	for _, c := range podspec.AllContainers(pod) {
		if run := newest(rt, c.Name, ""); run != nil && run.State == pluginv1.Container_STATE_RUNNING {
			started[c.Name] = w.started(c, run)
			ready[c.Name] = w.probes.Verdict(c.Name, run.Id).Ready
		}
	}
	sb := sandbox(rt)
	return podstatus.Input{
		Pod: base, Containers: rt.Containers,
		SandboxReady: sb != nil && w.attached == sb.Id && len(w.podIPs) > 0,
		PodIPs:       w.podIPs, HostIPs: w.m.o.HostIPs,
		RuntimeName: w.m.o.RuntimeName(), StartTime: w.startTime,
		Waiting: w.waiting, Started: started, Ready: ready,
		Failure: failure, Ending: ending, Observed: true,
		Message: w.message, Now: w.m.o.Clock.Now(),
	}
}

// withOthers takes the node's own conditions from one list and all others from
// the other.
func withOthers(own, api []corev1.PodCondition) []corev1.PodCondition {
	isOwn := func(t corev1.PodConditionType) bool {
		switch t {
		case corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled:
			return true
		}
		return false
	}
	var out []corev1.PodCondition
	for _, c := range own {
		if isOwn(c.Type) {
			out = append(out, c)
		}
	}
	for _, c := range api {
		if !isOwn(c.Type) {
			out = append(out, c)
		}
	}
	return out
}

// publish hands the status to the writer.
func (w *worker) publish(pod *corev1.Pod, ending bool) {
	var s corev1.PodStatus
	if w.final != nil {
		s = *w.final
	} else {
		s = w.status(pod, w.m.o.View.Pod(w.uid), ending)
	}
	w.mu.Lock()
	w.last = &s
	w.mu.Unlock()
	if w.removed && pod.DeletionTimestamp != nil {
		w.m.o.Status.Finish(pod, s)
		return
	}
	w.m.o.Status.Set(pod, s)
}
