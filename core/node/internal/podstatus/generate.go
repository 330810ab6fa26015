package podstatus

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pintle-io/pintle/core/node/internal/podspec"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// Input is what is known of a pod.
type Input struct {
	// Pod as the API has it, its status being the last one known there.
	Pod *corev1.Pod
	// Containers of the pod in the runtime, in any order.
	Containers []*pluginv1.Container
	// SandboxReady: the pod has its namespaces and its addresses.
	SandboxReady    bool
	PodIPs, HostIPs []string
	RuntimeName     string
	StartTime       time.Time
	Waiting         map[string]Waiting
	Started         map[string]bool
	Ready           map[string]bool
	Failure         *Failure
	// Ending: containers that end are not started again.
	Ending bool
	// Observed: the runtime was listed, so that what is not there is gone.
	Observed bool
	// Message returns what a container left as its termination message.
	Message func(*pluginv1.Container) string
	Now     time.Time
}

// Waiting says why a container does not run.
type Waiting struct{ Reason, Message string }

// Failure ends a pod for a reason outside its containers.
type Failure struct{ Reason, Message string }

// Reasons of waiting and ended containers that the node sets.
const (
	ReasonPodInitializing   = "PodInitializing"
	ReasonContainerCreating = "ContainerCreating"
	ReasonStatusUnknown     = "ContainerStatusUnknown"
)

// exitUnknown is the exit code of a container of which nothing is known any
// more: that of a process killed by SIGKILL.
const exitUnknown = 137

// Generate returns the pod's status.
func Generate(in Input) corev1.PodStatus {
	pod := in.Pod
	byName := map[string][]*pluginv1.Container{}
	for _, c := range in.Containers {
		byName[c.Name] = append(byName[c.Name], c)
	}
	for _, list := range byName {
		slices.SortFunc(list, func(a, b *pluginv1.Container) int {
			return cmp.Or(cmp.Compare(b.Attempt, a.Attempt), b.CreatedAt.AsTime().Compare(a.CreatedAt.AsTime()))
		})
	}
	s := corev1.PodStatus{
		ObservedGeneration: pod.Generation,
		QOSClass:           pod.Status.QOSClass,
		NominatedNodeName:  pod.Status.NominatedNodeName,
		Message:            pod.Status.Message,
		Reason:             pod.Status.Reason,
	}
	if s.QOSClass == "" {
		s.QOSClass = podspec.QOSClass(pod)
	}
	start := metav1.NewTime(in.StartTime.Truncate(time.Second))
	s.StartTime = &start
	for _, ip := range in.HostIPs {
		s.HostIPs = append(s.HostIPs, corev1.HostIP{IP: ip})
	}
	if len(in.HostIPs) > 0 {
		s.HostIP = in.HostIPs[0]
	}
	for _, ip := range in.PodIPs {
		s.PodIPs = append(s.PodIPs, corev1.PodIP{IP: ip})
	}
	if len(in.PodIPs) > 0 {
		s.PodIP = in.PodIPs[0]
	}

	initDone := true
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		st := in.container(c, byName[c.Name], pod.Status.InitContainerStatuses, ReasonPodInitializing)
		if podspec.IsSidecar(c) {
			initDone = initDone && st.Started != nil && *st.Started
		} else {
			st.Ready = st.State.Terminated != nil && st.State.Terminated.ExitCode == 0
			initDone = initDone && st.Ready
		}
		s.InitContainerStatuses = append(s.InitContainerStatuses, st)
	}
	// An init container may be gone from the runtime once the others run.
	if !initDone && anyStarted(byName, pod) {
		initDone = true
	}
	reason := ReasonContainerCreating
	if len(pod.Spec.InitContainers) > 0 && !initDone {
		reason = ReasonPodInitializing
	}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		s.ContainerStatuses = append(s.ContainerStatuses,
			in.container(c, byName[c.Name], pod.Status.ContainerStatuses, reason))
	}
	s.Phase = phase(in, &s)
	if in.Failure != nil {
		s.Reason, s.Message = in.Failure.Reason, in.Failure.Message
	}
	s.Conditions = conditions(in, &s)
	return s
}

func anyStarted(byName map[string][]*pluginv1.Container, pod *corev1.Pod) bool {
	for i := range pod.Spec.Containers {
		if len(byName[pod.Spec.Containers[i].Name]) > 0 {
			return true
		}
	}
	return false
}

// container is the status of one container. Runs are sorted, the newest first.
func (in *Input) container(c *corev1.Container, runs []*pluginv1.Container, old []corev1.ContainerStatus, reason string) corev1.ContainerStatus {
	var before corev1.ContainerStatus
	if i := slices.IndexFunc(old, func(s corev1.ContainerStatus) bool { return s.Name == c.Name }); i >= 0 {
		before = old[i]
	}
	s := corev1.ContainerStatus{
		Name: c.Name, Image: c.Image,
		RestartCount:         before.RestartCount,
		LastTerminationState: before.LastTerminationState,
		ImageID:              before.ImageID,
		ContainerID:          before.ContainerID,
	}
	started := false
	s.Started = &started
	waiting, isWaiting := in.Waiting[c.Name]
	if len(runs) == 0 {
		s.State = in.unstarted(before, waiting, reason)
		if t := s.State.Waiting; t != nil && before.State.Terminated != nil {
			s.LastTerminationState.Terminated = before.State.Terminated
		}
		if s.State.Terminated == nil && s.LastTerminationState.Terminated == nil {
			s.ContainerID, s.ImageID = "", ""
		}
		return s
	}
	run := runs[0]
	s.RestartCount = max(int32(run.Attempt), before.RestartCount)
	s.ContainerID = in.RuntimeName + "://" + run.Id
	s.ImageID = cmp.Or(run.Annotations[podspec.AnnotationImageRef], run.ImageId)
	if run.Image != "" && c.Image == "" {
		s.Image = run.Image
	}
	if len(runs) > 1 {
		if t := in.terminated(runs[1]); t != nil {
			s.LastTerminationState = corev1.ContainerState{Terminated: t}
		}
	}
	switch run.State {
	case pluginv1.Container_STATE_RUNNING:
		s.State.Running = &corev1.ContainerStateRunning{StartedAt: stamp(run.StartedAt.AsTime())}
		started = in.Started[c.Name]
		s.Ready = started && in.Ready[c.Name]
	case pluginv1.Container_STATE_EXITED, pluginv1.Container_STATE_UNKNOWN:
		t := in.terminated(run)
		if isWaiting && !in.Ending {
			s.State.Waiting = &corev1.ContainerStateWaiting{Reason: waiting.Reason, Message: waiting.Message}
			s.LastTerminationState = corev1.ContainerState{Terminated: t}
		} else {
			s.State.Terminated = t
		}
	default:
		if !isWaiting {
			waiting = Waiting{Reason: reason}
		}
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: waiting.Reason, Message: waiting.Message}
	}
	return s
}

// unstarted is the state of a container of which the runtime knows nothing.
func (in *Input) unstarted(before corev1.ContainerStatus, waiting Waiting, reason string) corev1.ContainerState {
	switch {
	case before.State.Terminated != nil && waiting.Reason == "" && in.Observed:
		return before.State
	case before.State.Running != nil && in.Observed && (in.Ending || waiting.Reason == ""):
		// It ran, and the runtime lost it: a wiped runtime, a new machine.
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: exitUnknown, Reason: ReasonStatusUnknown,
			Message:     "The container could not be located when the pod was terminated",
			ContainerID: before.ContainerID, StartedAt: before.State.Running.StartedAt,
			FinishedAt: stamp(in.Now),
		}}
	case before.State.Running != nil && !in.Observed:
		return before.State
	}
	if waiting.Reason == "" {
		waiting.Reason = reason
	}
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: waiting.Reason, Message: waiting.Message}}
}

func (in *Input) terminated(run *pluginv1.Container) *corev1.ContainerStateTerminated {
	switch run.State {
	case pluginv1.Container_STATE_EXITED:
		t := &corev1.ContainerStateTerminated{
			ExitCode: run.ExitCode, Signal: run.Signal, Reason: run.Reason, Message: run.Message,
			StartedAt: stamp(run.StartedAt.AsTime()), FinishedAt: stamp(run.FinishedAt.AsTime()),
			ContainerID: in.RuntimeName + "://" + run.Id,
		}
		if run.StartedAt == nil {
			t.StartedAt = metav1.Time{}
		}
		if t.Reason == "" {
			t.Reason = "Completed"
			if run.ExitCode != 0 {
				t.Reason = "Error"
			}
		}
		if in.Message != nil {
			if m := in.Message(run); m != "" {
				t.Message = m
			}
		}
		return t
	case pluginv1.Container_STATE_UNKNOWN:
		return &corev1.ContainerStateTerminated{
			ExitCode: exitUnknown, Reason: ReasonStatusUnknown,
			Message:     "The runtime has lost track of the container",
			ContainerID: in.RuntimeName + "://" + run.Id, FinishedAt: stamp(in.Now),
		}
	}
	return nil
}

// stamp has the precision that the API keeps.
func stamp(t time.Time) metav1.Time { return metav1.NewTime(t.Truncate(time.Second)) }
