package pods

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/pintle-io/pintle/core/node/internal/podspec"
	"github.com/pintle-io/pintle/core/node/internal/runtimeview"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// keepDead runs of each container stay for their logs and their last state.
const keepDead = 1

// cleanup removes dead containers beyond the newest dead one of each name, and
// sandboxes that a newer one took the place of once nothing of theirs is kept.
func (w *worker) cleanup(pod *corev1.Pod, rt runtimeview.Pod) {
	const key = "cleanup"
	dead := map[string]int{}
	var surplus []*pluginv1.Container
	kept := map[string]bool{}
	for _, c := range rt.Containers {
		if c.State == pluginv1.Container_STATE_EXITED || c.State == pluginv1.Container_STATE_UNKNOWN {
			if dead[c.Name]++; dead[c.Name] > keepDead {
				surplus = append(surplus, c)
				continue
			}
		}
		kept[c.SandboxId] = true
	}
	var sandboxes []*pluginv1.Sandbox
	for i, sb := range rt.Sandboxes {
		if i > 0 && sb.State == pluginv1.Sandbox_STATE_STOPPED && !kept[sb.Id] {
			sandboxes = append(sandboxes, sb)
		}
	}
	if len(surplus) == 0 && len(sandboxes) == 0 {
		return
	}
	w.do(key, func(ctx context.Context) func() {
		err := w.removeDead(ctx, pod, surplus, sandboxes)
		return func() {
			for _, c := range surplus {
				delete(w.postStarted, c.Id)
				delete(w.messages, c.Id)
			}
			if err != nil {
				w.log.Debug("removing dead containers failed, it is repeated", "error", err)
				w.failed(key, 0)
				return
			}
			w.succeeded(key)
		}
	})
}

func (w *worker) removeDead(ctx context.Context, pod *corev1.Pod, containers []*pluginv1.Container, sandboxes []*pluginv1.Sandbox) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	rt, err := w.m.o.Plugins.Runtime()
	if err != nil {
		return err
	}
	for _, c := range containers {
		if _, err := rt.RemoveContainer(ctx, &pluginv1.RemoveContainerRequest{ContainerId: c.Id}); err != nil {
			return err
		}
		if err := w.m.o.Volumes.ReleaseSubPaths(pod, c.Name, c.Attempt+1); err != nil {
			return err
		}
		removeLogs(podspec.LogPath(w.m.o.LogDir, pod, c.Name, c.Attempt))
		if file := c.Annotations[podspec.AnnotationMessageFile]; strings.HasPrefix(file, w.m.o.Volumes.PodDir(w.uid)) {
			_ = os.Remove(file) // goes with the pod at the latest
		}
		w.m.o.View.Forget(c.Id)
	}
	for _, sb := range sandboxes {
		if _, err := rt.RemoveSandbox(ctx, &pluginv1.RemoveSandboxRequest{SandboxId: sb.Id}); err != nil {
			return err
		}
		w.m.o.View.Forget(sb.Id)
	}
	return nil
}

// removeLogs removes a log with its rotated parts.
func removeLogs(path string) {
	parts, _ := filepath.Glob(path + "*") // the pattern is well formed: names are DNS labels
	for _, p := range parts {
		_ = os.Remove(p) // goes with the pod at the latest
	}
}
