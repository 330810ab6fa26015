package podstatus

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func run(name string, attempt uint32, state pluginv1.Container_State, code int32) *pluginv1.Container {
	return &pluginv1.Container{
		Id: name, Name: name, Attempt: attempt, State: state, ExitCode: code,
		CreatedAt: timestamppb.New(start), StartedAt: timestamppb.New(start), FinishedAt: timestamppb.New(start.Add(time.Second)),
	}
}

const (
	running = pluginv1.Container_STATE_RUNNING
	exited  = pluginv1.Container_STATE_EXITED
)

func TestPhase(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	for name, c := range map[string]struct {
		policy  corev1.RestartPolicy
		inits   []corev1.Container
		names   []string
		runs    []*pluginv1.Container
		waiting map[string]Waiting
		ending  bool
		failure *Failure
		old     corev1.PodPhase
		want    corev1.PodPhase
	}{
		"nothing yet":               {policy: "Always", names: []string{"a"}, want: corev1.PodPending},
		"runs":                      {policy: "Always", names: []string{"a"}, runs: []*pluginv1.Container{run("a", 0, running, 0)}, want: corev1.PodRunning},
		"one of two":                {policy: "Always", names: []string{"a", "b"}, runs: []*pluginv1.Container{run("a", 0, running, 0)}, want: corev1.PodPending},
		"crashed, comes again":      {policy: "Always", names: []string{"a"}, runs: []*pluginv1.Container{run("a", 0, exited, 1)}, want: corev1.PodRunning},
		"waits to come again":       {policy: "Always", names: []string{"a"}, runs: []*pluginv1.Container{run("a", 0, exited, 1)}, waiting: map[string]Waiting{"a": {Reason: "CrashLoopBackOff"}}, want: corev1.PodRunning},
		"never, 0":                  {policy: "Never", names: []string{"a"}, runs: []*pluginv1.Container{run("a", 0, exited, 0)}, want: corev1.PodSucceeded},
		"never, 1":                  {policy: "Never", names: []string{"a"}, runs: []*pluginv1.Container{run("a", 0, exited, 1)}, want: corev1.PodFailed},
		"never, one of two runs":    {policy: "Never", names: []string{"a", "b"}, runs: []*pluginv1.Container{run("a", 0, exited, 1), run("b", 0, running, 0)}, want: corev1.PodRunning},
		"on failure, 0":             {policy: "OnFailure", names: []string{"a"}, runs: []*pluginv1.Container{run("a", 0, exited, 0)}, want: corev1.PodSucceeded},
		"on failure, 1":             {policy: "OnFailure", names: []string{"a"}, runs: []*pluginv1.Container{run("a", 0, exited, 1)}, want: corev1.PodRunning},
		"init runs":                 {policy: "Always", inits: []corev1.Container{{Name: "i"}}, names: []string{"a"}, runs: []*pluginv1.Container{run("i", 0, running, 0)}, want: corev1.PodPending},
		"init failed, never":        {policy: "Never", inits: []corev1.Container{{Name: "i"}}, names: []string{"a"}, runs: []*pluginv1.Container{run("i", 0, exited, 1)}, want: corev1.PodFailed},
		"init failed, always":       {policy: "Always", inits: []corev1.Container{{Name: "i"}}, names: []string{"a"}, runs: []*pluginv1.Container{run("i", 0, exited, 1)}, want: corev1.PodPending},
		"sidecar outlives":          {policy: "Never", inits: []corev1.Container{{Name: "i", RestartPolicy: &always}}, names: []string{"a"}, runs: []*pluginv1.Container{run("i", 0, running, 0), run("a", 0, exited, 0)}, want: corev1.PodRunning},
		"deleted, still runs":       {policy: "Always", names: []string{"a"}, runs: []*pluginv1.Container{run("a", 0, running, 0)}, ending: true, want: corev1.PodRunning},
		"deleted, ended well":       {policy: "Always", names: []string{"a"}, runs: []*pluginv1.Container{run("a", 0, exited, 0)}, ending: true, want: corev1.PodSucceeded},
		"deleted, was killed":       {policy: "Always", names: []string{"a"}, runs: []*pluginv1.Container{run("a", 0, exited, 137)}, ending: true, want: corev1.PodFailed},
		"deleted, never ran":        {policy: "Always", names: []string{"a"}, ending: true, want: corev1.PodFailed},
		"evicted, still runs":       {policy: "Always", names: []string{"a"}, runs: []*pluginv1.Container{run("a", 0, running, 0)}, failure: &Failure{Reason: "Evicted"}, ending: true, want: corev1.PodRunning},
		"evicted":                   {policy: "Always", names: []string{"a"}, runs: []*pluginv1.Container{run("a", 0, exited, 0)}, failure: &Failure{Reason: "Evicted"}, ending: true, want: corev1.PodFailed},
		"refused":                   {policy: "Always", names: []string{"a"}, failure: &Failure{Reason: "OutOfcpu"}, ending: true, want: corev1.PodFailed},
		"final phases are for ever": {policy: "Always", names: []string{"a"}, runs: []*pluginv1.Container{run("a", 0, exited, 0)}, old: corev1.PodFailed, want: corev1.PodFailed},
	} {
		t.Run(name, func(t *testing.T) {
			p := &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: c.policy, InitContainers: c.inits}}
			if p.Status.Phase = c.old; c.old == "" {
				p.Status.Phase = corev1.PodPending
				for _, r := range c.runs {
					if r.Name == "a" {
						p.Status.Phase = corev1.PodRunning
					}
				}
			}
			for _, n := range c.names {
				p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: n})
			}
			got := Generate(Input{
				Pod: p, Containers: c.runs, Waiting: c.waiting, Ending: c.ending, Failure: c.failure, Observed: true, Now: start,
				Started: map[string]bool{"i": true}, RuntimeName: "fake",
			})
			if got.Phase != c.want {
				t.Errorf("phase %s, want %s; %+v", got.Phase, c.want, got.ContainerStatuses)
			}
		})
	}
}

func TestContainerStates(t *testing.T) {
	p := &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways, Containers: []corev1.Container{{Name: "a", Image: "i"}}}}
	in := Input{Pod: p, Observed: true, Now: start, RuntimeName: "fake", Containers: []*pluginv1.Container{run("a", 0, exited, 3), run("a", 1, running, 0)},
		Started: map[string]bool{"a": true}, Ready: map[string]bool{"a": true}}
	s := Generate(in).ContainerStatuses[0]
	if s.State.Running == nil || s.RestartCount != 1 || s.LastTerminationState.Terminated.ExitCode != 3 || s.LastTerminationState.Terminated.Reason != "Error" || !s.Ready || !*s.Started {
		t.Errorf("%+v", s)
	}
	in.Containers, in.Waiting = []*pluginv1.Container{run("a", 1, exited, 0)}, map[string]Waiting{"a": {"CrashLoopBackOff", "back-off"}}
	s = Generate(in).ContainerStatuses[0]
	if s.State.Waiting == nil || s.State.Waiting.Message != "back-off" || s.LastTerminationState.Terminated.Reason != "Completed" || s.Ready {
		t.Errorf("%+v", s)
	}
	// The runtime lost a container that the API saw running.
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "a", ContainerID: "fake://x", RestartCount: 2, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	in.Containers, in.Waiting, in.Ending = nil, nil, true
	s = Generate(in).ContainerStatuses[0]
	if s.State.Terminated == nil || s.State.Terminated.Reason != ReasonStatusUnknown || s.State.Terminated.ExitCode != 137 || s.RestartCount != 2 {
		t.Errorf("%+v", s)
	}
}

func TestConditionsKeepTimesAndOthers(t *testing.T) {
	before := metav1.NewTime(start.Add(-time.Hour))
	p := &corev1.Pod{
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a"}}, ReadinessGates: []corev1.PodReadinessGate{{ConditionType: "example/gate"}}},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: before},
			{Type: "example/gate", Status: corev1.ConditionFalse, LastTransitionTime: before},
		}},
	}
	in := Input{Pod: p, Observed: true, Now: start, SandboxReady: true, Containers: []*pluginv1.Container{run("a", 0, running, 0)},
		Started: map[string]bool{"a": true}, Ready: map[string]bool{"a": true}}
	got := Generate(in).Conditions
	if c := find(got, corev1.PodScheduled); c.LastTransitionTime != before {
		t.Errorf("scheduled at %s", c.LastTransitionTime)
	}
	if c := find(got, corev1.PodReady); c.Status != corev1.ConditionFalse || c.Reason != "ReadinessGatesNotReady" {
		t.Errorf("%+v", c)
	}
	if find(got, "example/gate") == nil {
		t.Error("a condition of others is gone")
	}
	p.Status.Conditions[1].Status = corev1.ConditionTrue
	if c := find(Generate(in).Conditions, corev1.PodReady); c.Status != corev1.ConditionTrue {
		t.Errorf("%+v", c)
	}
}

func TestFinished(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	for name, c := range map[string]struct {
		policy corev1.RestartPolicy
		runs   []*pluginv1.Container
		want   bool
	}{
		"only the sidecar is left":         {"Never", []*pluginv1.Container{run("i", 0, running, 0), run("a", 0, exited, 0)}, true},
		"only a sidecar that fails":        {"OnFailure", []*pluginv1.Container{run("i", 3, exited, 1), run("a", 0, exited, 0)}, true},
		"the container runs":               {"Never", []*pluginv1.Container{run("i", 0, running, 0), run("a", 0, running, 0)}, false},
		"the container is to come again":   {"OnFailure", []*pluginv1.Container{run("i", 0, running, 0), run("a", 0, exited, 1)}, false},
		"the container always comes again": {"Always", []*pluginv1.Container{run("i", 0, running, 0), run("a", 0, exited, 0)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := &corev1.Pod{Spec: corev1.PodSpec{
				RestartPolicy: c.policy, InitContainers: []corev1.Container{{Name: "i", RestartPolicy: &always}}, Containers: []corev1.Container{{Name: "a"}},
			}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
			in := Input{Pod: p, Containers: c.runs, Observed: true, Now: start, Started: map[string]bool{"i": true}, RuntimeName: "fake"}
			if got := Finished(in); got != c.want {
				t.Errorf("finished: %v", got)
			}
		})
	}
}
