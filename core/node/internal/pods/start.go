package pods

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pintle-io/pintle/core/node/internal/events"
	"github.com/pintle-io/pintle/core/node/internal/images"
	"github.com/pintle-io/pintle/core/node/internal/podspec"
	"github.com/pintle-io/pintle/core/node/internal/podstatus"
	"github.com/pintle-io/pintle/core/node/internal/runtimeview"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

// Reasons for which a container waits, as Kubernetes names them.
const (
	reasonConfig    = "CreateContainerConfigError"
	reasonCreate    = "CreateContainerError"
	reasonRun       = "RunContainerError"
	reasonPostStart = "PostStartHookError"
)

// configRetry is how soon a container is tried again whose definition refers to
// something that is not there: a change of the object wakes the pod earlier.
const configRetry = 10 * time.Second

// startError says why a container did not start.
type startError struct {
	podstatus.Waiting
	retryAfter time.Duration
	// ran: there is a run in the runtime that ended, to which the crash backoff
	// applies.
	ran bool
	// sandboxGone: the container is not to blame.
	sandboxGone bool
}

// start runs the next attempt of a container.
func (w *worker) start(pod *corev1.Pod, rt runtimeview.Pod, sb *pluginv1.Sandbox, c *corev1.Container) {
	key := "start/" + c.Name
	attempt := nextAttempt(pod, rt, c.Name)
	ips, paths := w.podIPs, w.volumes
	var unstarted []string
	for _, run := range rt.Containers {
		if run.Name == c.Name && run.State == pluginv1.Container_STATE_CREATED {
			unstarted = append(unstarted, run.Id)
		}
	}
	w.do(key, func(ctx context.Context) func() {
		s := &starter{w: w, pod: withAddresses(pod, ips, w.m.o.HostIPs), c: c, sandbox: sb, attempt: attempt, volumes: paths, about: events.Container(pod, c.Name)}
		id, fail := s.run(ctx, unstarted)
		if ctx.Err() != nil {
			return nil
		}
		return func() {
			if fail == nil {
				w.succeeded(key)
				delete(w.waiting, c.Name)
				w.postStarted[id] = true
				return
			}
			if fail.ran {
				delete(w.waiting, c.Name)
				w.succeeded(key)
				return
			}
			if fail.sandboxGone {
				w.m.crash.DeleteEntry(w.crashKey(c))
				delete(w.starting, c.Name)
				return
			}
			w.waiting[c.Name] = fail.Waiting
			w.failed(key, fail.retryAfter)
		}
	})
}

// nextAttempt counts on from what the runtime and the API know.
func nextAttempt(pod *corev1.Pod, rt runtimeview.Pod, name string) uint32 {
	next := uint32(0)
	for _, run := range rt.Containers {
		if run.Name == name && run.State != pluginv1.Container_STATE_CREATED {
			next = max(next, run.Attempt+1)
		}
	}
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range list {
			if list[i].Name == name && list[i].ContainerID != "" && next == 0 {
				next = uint32(list[i].RestartCount) + 1
			}
		}
	}
	return next
}

// withAddresses is the pod as its containers see it: the API learns of its
// addresses only later.
func withAddresses(pod *corev1.Pod, ips, hostIPs []string) *corev1.Pod {
	p := *pod
	p.Status.PodIPs, p.Status.HostIPs, p.Status.PodIP, p.Status.HostIP = nil, nil, "", ""
	for i, ip := range ips {
		if i == 0 {
			p.Status.PodIP = ip
		}
		p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: ip})
	}
	for i, ip := range hostIPs {
		if i == 0 {
			p.Status.HostIP = ip
		}
		p.Status.HostIPs = append(p.Status.HostIPs, corev1.HostIP{IP: ip})
	}
	return &p
}

// starter takes one attempt of a container from its image to its hook.
type starter struct {
	w       *worker
	pod     *corev1.Pod
	c       *corev1.Container
	sandbox *pluginv1.Sandbox
	attempt uint32
	volumes map[string]string
	about   *corev1.ObjectReference
}

func (s *starter) fail(reason string, err error, retry time.Duration) *startError {
	text := errs.Text(err)
	if !errors.Is(err, context.Canceled) && !errs.Is(err, errs.ClassCanceled) { // Else the pod is ending.
		s.w.m.o.Events.Eventf(s.about, corev1.EventTypeWarning, "Failed", "Error: %s", text)
	}
	if errs.Is(err, errs.ClassPluginGone) {
		retry = time.Second
	}
	return &startError{Waiting: podstatus.Waiting{Reason: reason, Message: text}, retryAfter: retry}
}

func (s *starter) run(ctx context.Context, unstarted []string) (id string, fail *startError) {
	m := s.w.m
	image, err := m.o.Images.Ensure(ctx, s.pod, s.c, s.about)
	if err != nil {
		var ie *images.Error
		if !errors.As(err, &ie) {
			return "", &startError{Waiting: podstatus.Waiting{Reason: images.ReasonPull, Message: err.Error()}, retryAfter: time.Second}
		}
		if ie.Reason == images.ReasonBackOff || ie.Reason == images.ReasonPull || ie.Reason == images.ReasonNeverPull {
			m.o.Events.Eventf(s.about, corev1.EventTypeWarning, "Failed", "Error: %s", ie.Reason)
		}
		return "", &startError{Waiting: podstatus.Waiting{Reason: ie.Reason, Message: ie.Message}, retryAfter: ie.RetryAfter}
	}
	select {
	case m.slots <- struct{}{}:
	case <-ctx.Done():
		return "", nil
	}
	id, fail = s.createAndStart(ctx, image, unstarted)
	<-m.slots
	if fail != nil {
		return id, fail
	}
	if err := s.postStart(ctx, id); err != nil && ctx.Err() == nil {
		m.o.Events.Eventf(s.about, corev1.EventTypeWarning, "FailedPostStartHook", "PostStartHook failed: %s", errs.Text(err))
		m.o.Events.Eventf(s.about, corev1.EventTypeNormal, "Killing", "FailedPostStartHook")
		if err := s.w.stop(ctx, s.pod, s.c, id, grace(s.pod), false); err != nil {
			s.w.log.Warn("stopping a container whose hook failed did not succeed", "container", s.c.Name, "error", err)
		}
		return id, &startError{Waiting: podstatus.Waiting{Reason: reasonPostStart, Message: errs.Text(err)}, ran: true}
	}
	return id, nil
}

func (s *starter) createAndStart(ctx context.Context, image *pluginv1.Image, unstarted []string) (id string, fail *startError) {
	m := s.w.m
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := podspec.VerifyNonRoot(s.pod, s.c, image); err != nil {
		return "", s.fail(reasonConfig, err, configRetry)
	}
	req, err := s.request(ctx, image)
	if err != nil {
		return "", s.fail(reasonConfig, err, configRetry)
	}
	rt, err := m.o.Plugins.Runtime()
	if err != nil {
		return "", s.fail(reasonCreate, err, time.Second)
	}
	// Left by an attempt that was interrupted before it ran.
	for _, old := range unstarted {
		if _, err := rt.RemoveContainer(ctx, &pluginv1.RemoveContainerRequest{ContainerId: old}); err != nil {
			return "", s.fail(reasonCreate, err, time.Second)
		}
		m.o.View.Forget(old)
	}
	res, err := rt.CreateContainer(ctx, req)
	if err != nil {
		fail := s.fail(reasonCreate, err, configRetry)
		if errs.Is(err, errs.ClassFailedPrecondition) || errs.Is(err, errs.ClassNotFound) {
			// The sandbox may have gone without a word.
			if err := m.o.View.RefreshSandbox(ctx, s.sandbox.Id); err == nil {
				now := sandbox(m.o.View.Pod(s.pod.UID))
				fail.sandboxGone = now == nil || now.Id != s.sandbox.Id
			}
		}
		return "", fail
	}
	id = res.Container.GetId()
	m.o.View.PutContainer(res.Container)
	m.o.Events.Eventf(s.about, corev1.EventTypeNormal, "Created", "Container created")
	_, err = rt.StartContainer(ctx, &pluginv1.StartContainerRequest{ContainerId: id})
	if refreshErr := m.o.View.Refresh(ctx, id); refreshErr != nil {
		s.w.log.Debug("looking at a container that was just started failed", "error", refreshErr)
	}
	if err != nil {
		fail := s.fail(reasonRun, err, time.Second)
		if run, ok := m.o.View.Container(id); ok && run.State == pluginv1.Container_STATE_EXITED {
			fail.ran = true
		}
		return id, fail
	}
	m.o.Events.Eventf(s.about, corev1.EventTypeNormal, "Started", "Container started")
	return id, nil
}

// request is what the runtime is asked for.
func (s *starter) request(ctx context.Context, image *pluginv1.Image) (*pluginv1.CreateContainerRequest, error) {
	m, c := s.w.m, s.c
	services, ok := m.visibleServices(s.pod)
	if !ok {
		return nil, errs.Unavailable("services have not yet been read at least once, cannot construct envvars")
	}
	var allocatable corev1.ResourceList
	memory := int64(0)
	if node := m.o.Node(); node != nil {
		allocatable = node.Status.Allocatable
		memory = node.Status.Capacity.Memory().Value()
	}
	env, err := podspec.Env(ctx, podspec.EnvInput{
		Pod: s.pod, Container: c, Objects: m.o.Objects, Services: services, Allocatable: allocatable,
	})
	if err != nil {
		return nil, err
	}
	if len(env.Invalid) > 0 {
		m.o.Events.Eventf(s.about, corev1.EventTypeWarning, "InvalidEnvironmentVariableNames",
			"Keys [%s] were skipped since they are considered invalid environment variable names.", strings.Join(env.Invalid, ", "))
	}
	mounts, messageFile, err := s.mounts(env)
	if err != nil {
		return nil, err
	}
	logPath := podspec.LogPath(m.o.LogDir, s.pod, c.Name, s.attempt)
	if err := os.MkdirAll(filepath.Dir(logPath), 0o755); err != nil {
		return nil, err
	}
	return &pluginv1.CreateContainerRequest{
		SandboxId: s.sandbox.Id, ContainerId: podspec.NewID(), Name: c.Name, Attempt: s.attempt,
		Image:   image.GetId(),
		Command: podspec.ExpandAll(c.Command, env.Lookup), Args: podspec.ExpandAll(c.Args, env.Lookup),
		WorkingDir: c.WorkingDir, Env: env.Vars, Mounts: mounts,
		Resources: podspec.ContainerResources(s.pod, c, memory),
		Security:  podspec.Security(s.pod, c, m.o.SeccompDir),
		LogPath:   logPath, Stdin: c.Stdin, StdinOnce: c.StdinOnce, Tty: c.TTY,
		Labels:      podspec.ContainerLabels(s.pod, c),
		Annotations: podspec.ContainerAnnotations(s.pod, c, s.attempt, image, messageFile),
		StopSignal:  stopSignal(c),
	}, nil
}

func stopSignal(c *corev1.Container) string {
	if c.Lifecycle == nil || c.Lifecycle.StopSignal == nil {
		return ""
	}
	return string(*c.Lifecycle.StopSignal)
}

// mounts are the container's volumes and the files that the node gives it.
func (s *starter) mounts(env *podspec.Environment) (mounts []*pluginv1.Mount, messageFile string, err error) {
	m, c := s.w.m, s.c
	dir := m.o.Volumes.PodDir(s.pod.UID)
	taken := map[string]bool{}
	for i := range c.VolumeMounts {
		vm := &c.VolumeMounts[i]
		host, ok := s.volumes[vm.Name]
		if !ok {
			return nil, "", fmt.Errorf("volume %q of container %q is not mounted", vm.Name, c.Name)
		}
		sub := vm.SubPath
		if vm.SubPathExpr != "" {
			if sub, err = expandStrict(vm.SubPathExpr, env); err != nil {
				return nil, "", err
			}
		}
		if sub != "" {
			if host, err = m.o.Volumes.SubPath(s.pod, c.Name, s.attempt, i, host, sub); err != nil {
				return nil, "", err
			}
		}
		path := vm.MountPath
		if !filepath.IsAbs(path) {
			path = "/" + path
		}
		taken[filepath.Clean(path)] = true
		mounts = append(mounts, &pluginv1.Mount{
			HostPath: host, ContainerPath: path, ReadOnly: vm.ReadOnly || readOnlyKind(s.pod, vm.Name),
			Propagation: propagation(vm), RecursiveReadOnly: vm.RecursiveReadOnly != nil && *vm.RecursiveReadOnly == corev1.RecursiveReadOnlyEnabled,
		})
	}
	for _, f := range []struct{ name, path string }{{hostsFile, "/etc/hosts"}, {resolvFile, "/etc/resolv.conf"}, {hostnameFile, "/etc/hostname"}} {
		if !taken[f.path] {
			mounts = append(mounts, &pluginv1.Mount{HostPath: filepath.Join(dir, f.name), ContainerPath: f.path, Propagation: pluginv1.Mount_PROPAGATION_PRIVATE})
		}
	}
	if c.TerminationMessagePath != "" {
		// A file of its own for each attempt, so that a message is never
		// another run's.
		own := filepath.Join(dir, "containers", c.Name)
		if err := os.MkdirAll(own, 0o750); err != nil {
			return nil, "", err
		}
		messageFile = filepath.Join(own, fmt.Sprintf("%d.message", s.attempt))
		if err := os.WriteFile(messageFile, nil, 0o666); err != nil {
			return nil, "", err
		}
		// Whoever the container runs as must be able to write there.
		if err := os.Chmod(messageFile, 0o666); err != nil {
			return nil, "", err
		}
		mounts = append(mounts, &pluginv1.Mount{HostPath: messageFile, ContainerPath: c.TerminationMessagePath, Propagation: pluginv1.Mount_PROPAGATION_PRIVATE})
	}
	return mounts, messageFile, nil
}

// expandStrict is for subPathExpr, where a variable that does not exist is an
// error.
func expandStrict(s string, env *podspec.Environment) (string, error) {
	var missing string
	out := podspec.Expand(s, func(name string) (string, bool) {
		v, ok := env.Lookup(name)
		if !ok {
			missing = name
		}
		return v, ok
	})
	if missing != "" {
		return "", fmt.Errorf("missing value for %q in subPathExpr %q", missing, s)
	}
	return out, nil
}

// readOnlyKind: views of the API are the node's to write.
func readOnlyKind(pod *corev1.Pod, volume string) bool {
	for i := range pod.Spec.Volumes {
		if v := &pod.Spec.Volumes[i]; v.Name == volume {
			return v.ConfigMap != nil || v.Secret != nil || v.DownwardAPI != nil || v.Projected != nil
		}
	}
	return false
}

func propagation(vm *corev1.VolumeMount) pluginv1.Mount_Propagation {
	if vm.MountPropagation == nil {
		return pluginv1.Mount_PROPAGATION_PRIVATE
	}
	switch *vm.MountPropagation {
	case corev1.MountPropagationHostToContainer:
		return pluginv1.Mount_PROPAGATION_HOST_TO_CONTAINER
	case corev1.MountPropagationBidirectional:
		return pluginv1.Mount_PROPAGATION_BIDIRECTIONAL
	default:
		return pluginv1.Mount_PROPAGATION_PRIVATE
	}
}
