package pods

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	corev1 "k8s.io/api/core/v1"

	"github.com/pintle-io/pintle/core/node/internal/events"
	"github.com/pintle-io/pintle/core/node/internal/podspec"
	"github.com/pintle-io/pintle/core/node/internal/runtimeview"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

func clone[T proto.Message](m T) T { return proto.Clone(m).(T) }

// kill ends one container of a pod that goes on.
func (w *worker) kill(pod *corev1.Pod, c *corev1.Container, run *pluginv1.Container, grace time.Duration, why string) {
	key := "kill/" + c.Name
	if w.tasks[key] == nil && w.retry[key] == nil {
		w.m.o.Events.Event(events.Container(pod, c.Name), corev1.EventTypeNormal, "Killing", why)
	}
	pod = withAddresses(pod, w.podIPs, w.m.o.HostIPs)
	w.do(key, func(ctx context.Context) func() {
		err := w.stop(ctx, pod, c, run.Id, grace, true)
		return func() {
			if err == nil {
				w.succeeded(key)
				return
			}
			w.log.Warn("stopping a container failed, it is repeated", "container", c.Name, "error", err)
			w.failed(key, 0)
		}
	})
}

// stop runs the container's preStop hook, stops it and returns when it ended.
func (w *worker) stop(ctx context.Context, pod *corev1.Pod, c *corev1.Container, id string, grace time.Duration, hook bool) error {
	grace = max(grace, 0)
	if hook && grace > 0 && c.Lifecycle != nil && c.Lifecycle.PreStop != nil {
		began := w.m.o.Clock.Now()
		hookCtx, cancel := context.WithTimeout(ctx, grace)
		err := w.hook(hookCtx, pod, c, id, c.Lifecycle.PreStop)
		cancel()
		if err != nil && ctx.Err() == nil {
			w.m.o.Events.Eventf(events.Container(pod, c.Name), corev1.EventTypeWarning, "FailedPreStopHook", "PreStopHook failed: %s", errs.Text(err))
		}
		grace -= w.m.o.Clock.Since(began)
	}
	grace = max(grace, minGrace)
	rt, err := w.m.o.Plugins.Runtime()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, grace+stopSlack)
	defer cancel()
	if _, err := rt.StopContainer(ctx, &pluginv1.StopContainerRequest{ContainerId: id, GracePeriod: durationpb.New(grace)}); err != nil {
		return err
	}
	return w.m.o.View.Refresh(ctx, id)
}

// end takes a pod down, a step at a time; it reports that nothing is left to do
// for ever.
func (w *worker) end(pod *corev1.Pod, gone bool, rt runtimeview.Pod) (done bool) {
	if w.cancelTasks("end/kill", "end/teardown", "end/remove") > 0 {
		return false
	}
	running := false
	for _, c := range rt.Containers {
		running = running || c.State == pluginv1.Container_STATE_RUNNING
	}
	if running {
		w.killAll(pod, gone, rt)
		return false
	}
	if w.tasks["end/kill"] != nil {
		return false
	}
	if !w.torndown {
		w.tearDown(pod, rt)
		return false
	}
	w.ended.Store(true)
	if !gone && pod.DeletionTimestamp == nil {
		return false
	}
	if w.final == nil && !gone {
		s := w.status(pod, rt, true)
		w.final = &s
	}
	if !w.removed {
		w.remove(pod, rt)
		return false
	}
	if gone {
		for _, c := range podspec.AllContainers(pod) {
			w.m.crash.DeleteEntry(w.crashKey(c))
		}
		w.m.o.Images.Forget(pod)
	}
	return gone
}

// endGrace is what the pod's containers get to end.
func (w *worker) endGrace(pod *corev1.Pod, gone bool) time.Duration {
	w.mu.Lock()
	override := w.grace
	w.mu.Unlock()
	g := grace(pod)
	if override != nil {
		g = *override
	}
	if w.orphan {
		g = orphanGrace
	}
	if d := pod.DeletionGracePeriodSeconds; d != nil && pod.DeletionTimestamp != nil {
		g = time.Duration(*d) * time.Second
	} else if gone && override == nil && !w.orphan {
		g = grace(pod)
	}
	return max(g, minGrace)
}

// killAll ends the containers, sidecars after the others and in the reverse of
// their order. A grace period that was shortened meanwhile counts at once.
func (w *worker) killAll(pod *corev1.Pod, gone bool, rt runtimeview.Pod) {
	const key = "end/kill"
	g := w.endGrace(pod, gone)
	if t := w.tasks[key]; t != nil {
		if g < w.killGrace {
			w.killGrace = g
			t.cancel()
		}
		return
	}
	w.killGrace = g
	first := w.retry[key] == nil
	pod = withAddresses(pod, w.podIPs, w.m.o.HostIPs)
	w.do(key, func(ctx context.Context) func() {
		err := w.stopAll(ctx, pod, rt, g, first)
		return func() {
			if err == nil || errors.Is(err, context.Canceled) {
				w.succeeded(key)
				return
			}
			w.m.o.Events.Eventf(events.Pod(pod), corev1.EventTypeWarning, "FailedKillPod", "error killing pod: %s", errs.Text(err))
			w.failed(key, 0)
		}
	})
}

func (w *worker) stopAll(ctx context.Context, pod *corev1.Pod, rt runtimeview.Pod, grace time.Duration, announce bool) error {
	deadline := w.m.o.Clock.Now().Add(grace)
	var sidecars []*pluginv1.Container
	stop := func(run *pluginv1.Container) error {
		c := podspec.FindContainer(pod, run.Name)
		if c == nil {
			c = &corev1.Container{Name: run.Name}
		}
		if announce && !w.orphan {
			w.m.o.Events.Eventf(events.Container(pod, c.Name), corev1.EventTypeNormal, "Killing", "Stopping container %s", c.Name)
		}
		return w.stop(ctx, pod, c, run.Id, deadline.Sub(w.m.o.Clock.Now()), true)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed []error
	for _, run := range rt.Containers {
		if run.State != pluginv1.Container_STATE_RUNNING {
			continue
		}
		if isSidecar(pod, run.Name) {
			sidecars = append(sidecars, run)
			continue
		}
		wg.Go(func() {
			if err := stop(run); err != nil {
				mu.Lock()
				failed = append(failed, fmt.Errorf("container %s: %w", run.Name, err))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for i := len(pod.Spec.InitContainers) - 1; i >= 0; i-- {
		for _, run := range sidecars {
			if run.Name == pod.Spec.InitContainers[i].Name {
				if err := stop(run); err != nil {
					failed = append(failed, fmt.Errorf("container %s: %w", run.Name, err))
				}
			}
		}
	}
	return errors.Join(failed...)
}

func isSidecar(pod *corev1.Pod, name string) bool {
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; c.Name == name {
			return podspec.IsSidecar(c)
		}
	}
	return false
}

// tearDown takes network, sandboxes and volumes back. Containers stay, for
// their logs.
func (w *worker) tearDown(pod *corev1.Pod, rt runtimeview.Pod) {
	const key = "end/teardown"
	w.do(key, func(ctx context.Context) func() {
		ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
		defer cancel()
		var failed []error
		for _, sb := range rt.Sandboxes {
			failed = append(failed, w.stopSandbox(ctx, pod, sb))
		}
		err := errors.Join(failed...)
		reason := "FailedKillPod"
		if err == nil {
			reason = "FailedUnMount"
			err = w.m.o.Volumes.Unmount(ctx, w.uid)
		}
		if err == nil {
			return func() {
				w.succeeded(key)
				w.torndown, w.mounted = true, false
			}
		}
		if ctx.Err() == nil {
			if w.orphan {
				w.log.Warn("taking down a pod failed, it is repeated", "error", err)
			} else {
				w.m.o.Events.Eventf(events.Pod(pod), corev1.EventTypeWarning, reason, "error killing pod: %s", errs.Text(err))
			}
		}
		return func() { w.failed(key, 0) }
	})
}

// remove forgets a pod that was deleted: its sandboxes with their containers,
// its logs and its directory.
func (w *worker) remove(pod *corev1.Pod, rt runtimeview.Pod) {
	const key = "end/remove"
	w.do(key, func(ctx context.Context) func() {
		err := w.forget(ctx, pod, rt)
		return func() {
			if err == nil {
				w.succeeded(key)
				w.removed = true
				w.wake()
				return
			}
			w.log.Warn("removing what is left of a pod failed, it is repeated", "error", err)
			w.failed(key, 0)
		}
	})
}

func (w *worker) forget(ctx context.Context, pod *corev1.Pod, rt runtimeview.Pod) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	runtime, err := w.m.o.Plugins.Runtime()
	if err != nil && len(rt.Sandboxes)+len(rt.Containers) > 0 {
		return err
	}
	known := map[string]bool{}
	for _, sb := range rt.Sandboxes {
		known[sb.Id] = true
		if _, err := runtime.RemoveSandbox(ctx, &pluginv1.RemoveSandboxRequest{SandboxId: sb.Id}); err != nil {
			return err
		}
		w.m.o.View.Forget(sb.Id)
	}
	for _, c := range rt.Containers {
		if known[c.SandboxId] {
			continue // went with its sandbox
		}
		if _, err := runtime.RemoveContainer(ctx, &pluginv1.RemoveContainerRequest{ContainerId: c.Id}); err != nil {
			return err
		}
		w.m.o.View.Forget(c.Id)
	}
	if pod.Name != "" {
		if err := os.RemoveAll(podspec.LogDirectory(w.m.o.LogDir, pod.Namespace, pod.Name, pod.UID)); err != nil {
			return err
		}
	}
	return w.m.o.Volumes.RemovePodDir(w.uid)
}
