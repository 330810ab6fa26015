package pods

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pintle-io/pintle/core/node/internal/events"
	"github.com/pintle-io/pintle/core/node/internal/podspec"
	"github.com/pintle-io/pintle/core/node/internal/podstatus"
	"github.com/pintle-io/pintle/core/node/internal/probes"
	"github.com/pintle-io/pintle/core/node/internal/runtimeview"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// sync looks at everything and decides; it reports that the worker is done.
func (w *worker) sync() (done bool) {
	w.mu.Lock()
	pod, gone, failure := w.pod, w.gone, w.failure
	w.mu.Unlock()
	if !w.m.o.View.Listed() {
		return false // the pod may well be running
	}
	rt := w.m.o.View.Pod(w.uid)
	if w.startTime.IsZero() {
		w.begin(pod, rt)
	}
	if !gone && failure == nil && !w.admitted.Load() {
		switch {
		case len(rt.Sandboxes) > 0 || ended(pod) || pod.DeletionTimestamp != nil:
			w.admitted.Store(true) // it was admitted before
		case w.m.o.Node() == nil:
			w.lookAgainAt(w.m.o.Clock.Now().Add(time.Second))
			return false
		default:
			if f := w.m.admit(w, pod); f != nil {
				w.m.o.Events.Event(events.Pod(pod), corev1.EventTypeWarning, f.Reason, f.Message)
				w.fail(*f, nil)
				failure = f
			}
		}
	}
	if failure == nil && !gone {
		failure = w.deadline(pod)
	}
	ending := gone || failure != nil || pod.DeletionTimestamp != nil || ended(pod)
	ending = ending || podstatus.Finished(w.statusInput(pod, rt, false))
	w.watchProbes(pod, rt, ending)
	if ending {
		done = w.end(pod, gone, rt)
	} else {
		w.advance(pod, rt)
	}
	if !gone {
		w.publish(pod, ending)
	}
	return done
}

func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// begin takes over what is known from before.
func (w *worker) begin(pod *corev1.Pod, rt runtimeview.Pod) {
	w.startTime = w.m.o.Clock.Now()
	if t := pod.Status.StartTime; t != nil {
		w.startTime = t.Time
	}
	for _, ip := range pod.Status.PodIPs {
		w.podIPs = append(w.podIPs, ip.IP)
	}
	for _, c := range rt.Containers {
		if c.State == pluginv1.Container_STATE_RUNNING {
			w.postStarted[c.Id] = true
		}
	}
	if w.orphan {
		return
	}
	w.m.o.Objects.Register(pod)
}

// deadline enforces activeDeadlineSeconds.
func (w *worker) deadline(pod *corev1.Pod) *podstatus.Failure {
	if pod.Spec.ActiveDeadlineSeconds == nil {
		return nil
	}
	end := w.startTime.Add(time.Duration(*pod.Spec.ActiveDeadlineSeconds) * time.Second)
	if w.m.o.Clock.Now().Before(end) {
		w.lookAgainAt(end)
		return nil
	}
	if ended(pod) {
		return nil
	}
	f := podstatus.Failure{Reason: "DeadlineExceeded", Message: "Pod was active on the node longer than the specified deadline"}
	w.m.o.Events.Event(events.Pod(pod), corev1.EventTypeNormal, f.Reason, f.Message)
	w.fail(f, nil)
	return &f
}

// sandbox is the pod's sandbox of now, where it has one.
func sandbox(rt runtimeview.Pod) *pluginv1.Sandbox {
	if len(rt.Sandboxes) > 0 && rt.Sandboxes[0].State == pluginv1.Sandbox_STATE_READY {
		return rt.Sandboxes[0]
	}
	return nil
}

// newest run of a container; within, where not empty, names the sandbox.
func newest(rt runtimeview.Pod, name, within string) *pluginv1.Container {
	for _, c := range rt.Containers {
		if c.Name == name && (within == "" || c.SandboxId == within) {
			return c
		}
	}
	return nil
}

// advance brings a pod that should run one step further.
func (w *worker) advance(pod *corev1.Pod, rt runtimeview.Pod) {
	w.killUnhealthy(pod, rt)
	w.cleanup(pod, rt)
	if w.remount.Swap(false) {
		w.mounted = false
	}
	w.renew(pod)
	if !w.mounted {
		w.mount(pod)
	}
	if !pod.Spec.HostNetwork && !w.m.pruned.Load() {
		// Attachments that are older than the node agent are taken back before
		// new ones are made. A network plugin that is missing is told of below.
		if _, err := w.m.o.Plugins.Network(); err == nil {
			return
		}
	}
	sb := sandbox(rt)
	if sb == nil {
		if w.wantsSandbox(pod, rt) {
			w.createSandbox(pod, rt)
		}
		return
	}
	if w.attached != sb.Id {
		w.attach(pod, sb)
		return
	}
	if _, known := w.m.o.Services(); !known || !w.mounted {
		return // containers are told of services when they start
	}
	w.startContainers(pod, rt, sb)
}

// wantsSandbox: some container is still to run.
func (w *worker) wantsSandbox(pod *corev1.Pod, rt runtimeview.Pod) bool {
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		run := newest(rt, c.Name, "")
		if run == nil && !w.lost(pod, c) {
			return true
		}
		if run != nil && (run.State != pluginv1.Container_STATE_EXITED || restarts(pod, c, run.ExitCode)) {
			return true
		}
	}
	return false
}

// lost: the API knows of a run that the runtime has nothing of any more, and
// that must not be repeated.
func (w *worker) lost(pod *corev1.Pod, c *corev1.Container) bool {
	for i := range pod.Status.ContainerStatuses {
		s := &pod.Status.ContainerStatuses[i]
		if s.Name != c.Name || s.ContainerID == "" {
			continue
		}
		code := int32(1)
		if t := s.State.Terminated; t != nil {
			code = t.ExitCode
		}
		return !restarts(pod, c, code)
	}
	return false
}

// restarts says whether a container that ended with this code runs again.
func restarts(pod *corev1.Pod, c *corev1.Container, exitCode int32) bool {
	policy := pod.Spec.RestartPolicy
	if c.RestartPolicy != nil {
		policy = corev1.RestartPolicy(*c.RestartPolicy)
	}
	switch policy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return exitCode != 0
	default:
		return true
	}
}

// startContainers goes through init containers in order, then through all
// others.
func (w *worker) startContainers(pod *corev1.Pod, rt runtimeview.Pod, sb *pluginv1.Sandbox) {
	begun := false
	for i := range pod.Spec.Containers {
		begun = begun || newest(rt, pod.Spec.Containers[i].Name, sb.Id) != nil
	}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		run := newest(rt, c.Name, sb.Id)
		if podspec.IsSidecar(c) {
			w.startIfDue(pod, rt, sb, c, run, true)
			if !begun && (run == nil || !w.started(c, run)) {
				return
			}
			continue
		}
		if begun {
			continue
		}
		switch {
		case run == nil:
			w.startIfDue(pod, rt, sb, c, nil, true)
			return
		case run.State == pluginv1.Container_STATE_EXITED && run.ExitCode == 0:
			continue
		case run.State == pluginv1.Container_STATE_RUNNING:
			return
		default:
			w.startIfDue(pod, rt, sb, c, run, pod.Spec.RestartPolicy != corev1.RestartPolicyNever)
			return
		}
	}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		run := newest(rt, c.Name, "")
		if run == nil && w.lost(pod, c) {
			continue
		}
		again := true
		if run != nil && run.State == pluginv1.Container_STATE_EXITED {
			again = restarts(pod, c, run.ExitCode)
		}
		w.startIfDue(pod, rt, sb, c, run, again)
	}
}

// startIfDue starts a container that does not run, unless it is to wait.
func (w *worker) startIfDue(pod *corev1.Pod, rt runtimeview.Pod, sb *pluginv1.Sandbox, c *corev1.Container, run *pluginv1.Container, again bool) {
	key := "start/" + c.Name
	if w.tasks[key] != nil || w.tasks["kill/"+c.Name] != nil {
		return
	}
	if run != nil && run.State == pluginv1.Container_STATE_RUNNING {
		delete(w.waiting, c.Name)
		return
	}
	if !again {
		return
	}
	if run != nil && run.State == pluginv1.Container_STATE_EXITED {
		id := w.crashKey(c)
		since := run.FinishedAt.AsTime()
		if run.FinishedAt == nil {
			since = run.CreatedAt.AsTime()
		}
		if w.m.crash.IsInBackOffSince(id, since) {
			delay := w.m.crash.Get(id)
			w.lookAgainAt(since.Add(delay))
			if w.waiting[c.Name].Reason != "CrashLoopBackOff" {
				w.m.o.Events.Eventf(events.Container(pod, c.Name), corev1.EventTypeWarning, "BackOff",
					"Back-off restarting failed container %s in pod %s", c.Name, format(pod))
			}
			w.waiting[c.Name] = podstatus.Waiting{
				Reason:  "CrashLoopBackOff",
				Message: fmt.Sprintf("back-off %s restarting failed container=%s pod=%s", delay, c.Name, format(pod)),
			}
			return
		}
		if r := w.retry[key]; r == nil || !w.m.o.Clock.Now().Before(r.at) {
			if w.starting[c.Name] != run.Id {
				// Counted once for each run that ended.
				w.starting[c.Name] = run.Id
				w.m.crash.Next(id, since)
			}
		}
	}
	w.start(pod, rt, sb, c)
}

func (w *worker) crashKey(c *corev1.Container) string {
	return string(w.uid) + "_" + c.Name + "_" + podspec.Hash(c)
}

func format(pod *corev1.Pod) string {
	return fmt.Sprintf("%s_%s(%s)", pod.Name, pod.Namespace, pod.UID)
}

// started: the container runs, its hook has run and its startup probe succeeded.
func (w *worker) started(c *corev1.Container, run *pluginv1.Container) bool {
	return run.State == pluginv1.Container_STATE_RUNNING && w.postStarted[run.Id] && w.probes.Verdict(c.Name, run.Id).Started
}

// watchProbes probes exactly the containers that run and are to stay.
func (w *worker) watchProbes(pod *corev1.Pod, rt runtimeview.Pod, ending bool) {
	targets := map[string]probes.Target{}
	ip := ""
	if len(w.podIPs) > 0 {
		ip = w.podIPs[0]
	}
	for _, c := range podspec.AllContainers(pod) {
		run := newest(rt, c.Name, "")
		if run == nil || run.State != pluginv1.Container_STATE_RUNNING || !w.postStarted[run.Id] {
			continue
		}
		if ending && (pod.DeletionTimestamp == nil || c.ReadinessProbe == nil) {
			continue
		}
		t := probes.Target{ContainerID: run.Id, IP: ip, StartedAt: run.StartedAt.AsTime()}
		for _, s := range append(append([]corev1.ContainerStatus{}, pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...) {
			if s.Name == c.Name && s.ContainerID == w.m.o.RuntimeName()+"://"+run.Id {
				t.WasStarted, t.WasReady = s.Started != nil && *s.Started, s.Ready
			}
		}
		targets[c.Name] = t
	}
	w.probes.Sync(w.ctx, pod, targets)
}

// killUnhealthy ends containers whose probes say so or whose definition
// changed; the restart policy then decides.
func (w *worker) killUnhealthy(pod *corev1.Pod, rt runtimeview.Pod) {
	for _, c := range podspec.AllContainers(pod) {
		run := newest(rt, c.Name, "")
		if run == nil || run.State != pluginv1.Container_STATE_RUNNING || w.tasks["start/"+c.Name] != nil {
			continue
		}
		grace := grace(pod)
		var why string
		switch w.probes.Verdict(c.Name, run.Id).Failed {
		case probes.Liveness:
			why = fmt.Sprintf("Container %s failed liveness probe, will be restarted", c.Name)
			grace = probeGrace(c.LivenessProbe, grace)
		case probes.Startup:
			why = fmt.Sprintf("Container %s failed startup probe, will be restarted", c.Name)
			grace = probeGrace(c.StartupProbe, grace)
		default:
			if h := run.Annotations[podspec.AnnotationHash]; h == "" || h == podspec.Hash(c) {
				continue
			}
			why = fmt.Sprintf("Container %s definition changed, will be restarted", c.Name)
		}
		w.kill(pod, c, run, grace, why)
	}
}

func probeGrace(p *corev1.Probe, otherwise time.Duration) time.Duration {
	if p != nil && p.TerminationGracePeriodSeconds != nil {
		return time.Duration(*p.TerminationGracePeriodSeconds) * time.Second
	}
	return otherwise
}

func grace(pod *corev1.Pod) time.Duration {
	if g := pod.Spec.TerminationGracePeriodSeconds; g != nil {
		return time.Duration(*g) * time.Second
	}
	return defaultGrace
}
