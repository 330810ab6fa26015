package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// podCase is one thing that pods can do. All manifests are applied at once, so
// that what takes its time happens while other cases are looked at.
type podCase struct {
	name     string
	manifest string
	check    func(*host)
}

// TestPods runs what Kubernetes documents of a pod on one node.
func TestPods(t *testing.T) {
	network := newLAN(t)
	h, client := network.host(), network.host()
	h.up()
	h.importImage(archive, nginx(t))
	cases := slices.Concat(
		orderCases(), restartCases(), probeCases(), hookCases(), environmentCases(), volumeCases(h), namespaceCases(), securityCases(), resourceCases(),
		streamCases(), networkCases(client),
	)
	var manifest strings.Builder
	for _, c := range cases {
		manifest.WriteString("---\n" + strings.ReplaceAll(c.manifest, "IMAGE", nginxImage))
	}
	h.apply(manifest.String())
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.check(h.with(t)) })
	}
}

// with reports to a test's subtest.
func (h *host) with(t *testing.T) *host {
	other := *h
	other.t = t
	return &other
}

// waitPod waits until a pod is as a check wants it, and gives it.
func (h *host) waitPod(name string, check func(*corev1.Pod) error) *corev1.Pod {
	h.t.Helper()
	var pod corev1.Pod
	h.eventually(time.Minute, func() error {
		out, err := h.kubectl("get", "pod", name, "-o", "json")
		if err != nil {
			return err
		}
		pod = corev1.Pod{}
		if err := json.Unmarshal([]byte(out), &pod); err != nil {
			return err
		}
		if err := check(&pod); err != nil {
			status, _ := json.Marshal(pod.Status)
			return fmt.Errorf("pod %s: %w: %s", name, err, status)
		}
		return nil
	})
	return &pod
}

func (h *host) waitPhase(name string, want corev1.PodPhase) *corev1.Pod {
	h.t.Helper()
	return h.waitPod(name, func(pod *corev1.Pod) error {
		if pod.Status.Phase != want {
			return fmt.Errorf("phase %s, not %s", pod.Status.Phase, want)
		}
		return nil
	})
}

func (h *host) waitReady(name string) *corev1.Pod {
	h.t.Helper()
	return h.waitPod(name, ready)
}

func ready(pod *corev1.Pod) error {
	if !hasCondition(pod, corev1.PodReady, corev1.ConditionTrue) {
		return fmt.Errorf("not ready")
	}
	return nil
}

func hasCondition(pod *corev1.Pod, condition corev1.PodConditionType, status corev1.ConditionStatus) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == condition && c.Status == status
	})
}

// container is the status of one, of whichever sort.
func container(pod *corev1.Pod, name string) corev1.ContainerStatus {
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if s.Name == name {
			return s
		}
	}
	return corev1.ContainerStatus{}
}

// ended is how a container's last run ended, or an empty end.
func ended(pod *corev1.Pod, name string) corev1.ContainerStateTerminated {
	s := container(pod, name)
	for _, state := range []corev1.ContainerState{s.State, s.LastTerminationState} {
		if state.Terminated != nil {
			return *state.Terminated
		}
	}
	return corev1.ContainerStateTerminated{}
}

// waitWaiting waits for a container that can not run, for a reason.
func (h *host) waitWaiting(name, of, reason string, words ...string) *corev1.Pod {
	h.t.Helper()
	return h.waitPod(name, func(pod *corev1.Pod) error {
		w := container(pod, of).State.Waiting
		if w == nil || w.Reason != reason {
			return fmt.Errorf("container %s does not wait with %s", of, reason)
		}
		for _, word := range words {
			if !strings.Contains(w.Message, word) {
				return fmt.Errorf("container %s does not say %q", of, word)
			}
		}
		return nil
	})
}

// output waits for the pod's success and gives what it wrote, by lines.
func (h *host) output(name string) []string {
	h.t.Helper()
	h.waitPhase(name, corev1.PodSucceeded)
	return lines(h.mustKubectl("logs", name))
}

func (h *host) mustHave(have []string, want ...string) {
	h.t.Helper()
	for _, line := range want {
		if !slices.Contains(have, line) {
			h.t.Errorf("%q is not among:\n%s", line, strings.Join(have, "\n"))
		}
	}
}

func (h *host) exec(pod, container, script string) (string, error) {
	return h.kubectl("exec", pod, "-c", container, "--", "sh", "-c", script)
}
