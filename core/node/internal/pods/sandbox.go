package pods

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/pintle-io/pintle/core/node/internal/events"
	"github.com/pintle-io/pintle/core/node/internal/podspec"
	"github.com/pintle-io/pintle/core/node/internal/runtimeview"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

// mount brings the pod's volumes.
func (w *worker) mount(pod *corev1.Pod) {
	const key = "volumes"
	w.do(key, func(ctx context.Context) func() {
		paths, err := w.m.o.Volumes.Mount(ctx, pod)
		if err == nil {
			return func() {
				w.succeeded(key)
				w.mounted, w.volumes = true, paths
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		for _, e := range unjoin(err) {
			w.m.o.Events.Event(events.Pod(pod), corev1.EventTypeWarning, "FailedMount", e.Error())
		}
		return func() { w.failed(key, 0) }
	})
}

// renew writes views of the API again after something they show changed, and
// tries at once what waited for it.
func (w *worker) renew(pod *corev1.Pod) {
	const key = "refresh"
	if w.tasks[key] != nil || w.retry[key] == nil && !w.refresh.Swap(false) {
		return
	}
	delete(w.retry, "volumes")
	for name, waiting := range w.waiting {
		if waiting.Reason == reasonConfig {
			delete(w.retry, "start/"+name)
		}
	}
	if !w.mounted {
		return
	}
	w.do(key, func(ctx context.Context) func() {
		_, err := w.m.o.Volumes.Refresh(ctx, pod)
		if err == nil {
			return func() { w.succeeded(key) }
		}
		if ctx.Err() != nil {
			return nil
		}
		for _, e := range unjoin(err) {
			w.m.o.Events.Event(events.Pod(pod), corev1.EventTypeWarning, "FailedMount", e.Error())
		}
		return func() { w.failed(key, 0) }
	})
}

func unjoin(err error) []error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return joined.Unwrap()
	}
	return []error{err}
}

// createSandbox makes the pod's next sandbox and attaches it to the network.
// What is left of an older one is stopped first.
func (w *worker) createSandbox(pod *corev1.Pod, rt runtimeview.Pod) {
	const key = "sandbox"
	if len(w.tasks) > 0 && w.tasks[key] == nil {
		// Tasks of an older sandbox's containers end before a new one is made.
		for k := range w.tasks {
			if k != "volumes" && k != "cleanup" {
				return
			}
		}
	}
	attempt := uint32(0)
	if len(rt.Sandboxes) > 0 {
		attempt = rt.Sandboxes[0].Attempt + 1
		if w.retry[key] == nil && w.tasks[key] == nil {
			w.m.o.Events.Event(events.Pod(pod), corev1.EventTypeNormal, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
		}
	}
	w.do(key, func(ctx context.Context) func() {
		sb, ips, err := w.newSandbox(ctx, pod, rt, attempt)
		if err == nil {
			return func() {
				w.succeeded(key)
				w.attached, w.podIPs = sb.Id, ips
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		w.m.o.Events.Eventf(events.Pod(pod), corev1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: %s", errs.Text(err))
		return func() { w.failed(key, 0) }
	})
}

func (w *worker) newSandbox(ctx context.Context, pod *corev1.Pod, rt runtimeview.Pod, attempt uint32) (*pluginv1.Sandbox, []string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	runtime, err := w.m.o.Plugins.Runtime()
	if err != nil {
		return nil, nil, err
	}
	for _, old := range rt.Sandboxes {
		if err := w.stopSandbox(ctx, pod, old); err != nil {
			return nil, nil, err
		}
	}
	network, ipc, pid := podspec.Namespaces(pod)
	_, hostname, _ := podspec.Hostname(pod, w.m.o.Hostname, w.m.o.DNS.Domain)
	res, err := runtime.CreateSandbox(ctx, &pluginv1.CreateSandboxRequest{
		SandboxId: podspec.NewID(), Pod: podspec.Identity(pod), Attempt: attempt, Hostname: hostname,
		Network: network, Ipc: ipc, Pid: pid, Sysctls: podspec.Sysctls(pod),
		CgroupParent: podspec.CgroupParent(w.m.o.CgroupRoot, pod), Resources: podspec.PodResources(pod),
		Labels: podspec.PodLabels(pod), Annotations: podspec.PodAnnotations(pod),
		RuntimeHandler: value(pod.Spec.RuntimeClassName),
	})
	if err != nil {
		return nil, nil, err
	}
	w.m.o.View.PutSandbox(res.Sandbox)
	ips, err := w.connect(ctx, pod, res.Sandbox)
	return res.Sandbox, ips, err
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// attach learns, or makes, the addresses of a sandbox that is there.
func (w *worker) attach(pod *corev1.Pod, sb *pluginv1.Sandbox) {
	const key = "sandbox"
	w.do(key, func(ctx context.Context) func() {
		ips, err := w.connect(ctx, pod, sb)
		if err == nil {
			return func() {
				w.succeeded(key)
				w.attached, w.podIPs = sb.Id, ips
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		w.m.o.Events.Eventf(events.Pod(pod), corev1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: %s", errs.Text(err))
		return func() { w.failed(key, 0) }
	})
}

// connect attaches a sandbox to the network and writes the files that name the
// pod to its containers.
func (w *worker) connect(ctx context.Context, pod *corev1.Pod, sb *pluginv1.Sandbox) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	ips := w.m.o.HostIPs
	if !pod.Spec.HostNetwork {
		network, err := w.m.o.Plugins.Network()
		if err != nil {
			return nil, err
		}
		if !w.m.pruned.Load() {
			return nil, errs.Unavailable("the network plugin is being made ready")
		}
		res, err := network.Attach(ctx, &pluginv1.AttachNetworkRequest{
			SandboxId: sb.Id, Pod: podspec.Identity(pod), NetworkNamespace: sb.NetworkNamespace,
			PortMappings:     podspec.PortMappings(pod),
			IngressBandwidth: bandwidth(pod, "kubernetes.io/ingress-bandwidth"),
			EgressBandwidth:  bandwidth(pod, "kubernetes.io/egress-bandwidth"),
		})
		if err != nil {
			return nil, fmt.Errorf("attaching the pod to the network: %w", err)
		}
		ips = res.Addresses
	}
	return ips, w.writeFiles(pod, ips)
}

// Files of the pod's directory that its containers get.
const (
	hostsFile    = "etc-hosts"
	resolvFile   = "resolv.conf"
	hostnameFile = "hostname"
)

func (w *worker) writeFiles(pod *corev1.Pod, ips []string) error {
	dir := w.m.o.Volumes.PodDir(pod.UID)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	hostname, kernelName, domain := podspec.Hostname(pod, w.m.o.Hostname, w.m.o.DNS.Domain)
	var nodeHosts []byte
	if pod.Spec.HostNetwork {
		nodeHosts, _ = os.ReadFile("/etc/hosts") // a node without one has nothing to hand on
	}
	nodeResolv, _ := os.ReadFile("/etc/resolv.conf") // as above
	resolver, fellBack := podspec.DNS(pod, w.m.o.DNS, podspec.ParseResolvConf(nodeResolv))
	if fellBack {
		w.log.Debug("there is no cluster DNS, the pod gets the node's resolver")
	}
	for name, content := range map[string][]byte{
		hostsFile:    podspec.HostsFile(pod, ips, hostname, domain, nodeHosts),
		resolvFile:   []byte(resolver.String()),
		hostnameFile: []byte(kernelName + "\n"),
	} {
		// Written in place: running containers have these very files mounted.
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// stopSandbox takes a sandbox's network back and stops it.
func (w *worker) stopSandbox(ctx context.Context, pod *corev1.Pod, sb *pluginv1.Sandbox) error {
	if sb.Annotations[podspec.AnnotationHostNetwork] == "" {
		network, err := w.m.o.Plugins.Network()
		if err != nil {
			return err
		}
		if _, err := network.Detach(ctx, &pluginv1.DetachNetworkRequest{
			SandboxId: sb.Id, Pod: sb.Pod, NetworkNamespace: sb.NetworkNamespace, PortMappings: podspec.PortMappings(pod),
		}); err != nil {
			return fmt.Errorf("taking the pod's network back: %w", err)
		}
	}
	runtime, err := w.m.o.Plugins.Runtime()
	if err != nil {
		return err
	}
	if _, err := runtime.StopSandbox(ctx, &pluginv1.StopSandboxRequest{SandboxId: sb.Id}); err != nil {
		return fmt.Errorf("stopping the pod's sandbox: %w", err)
	}
	if sb.State == pluginv1.Sandbox_STATE_READY {
		stopped := clone(sb)
		stopped.State = pluginv1.Sandbox_STATE_STOPPED
		w.m.o.View.PutSandbox(stopped)
	}
	return nil
}

// bandwidth reads the annotation that Kubernetes' CNI support defines, in bits
// per second; what is no quantity is no limit.
func bandwidth(pod *corev1.Pod, annotation string) uint64 {
	q, err := resource.ParseQuantity(pod.Annotations[annotation])
	if err != nil || q.Sign() <= 0 {
		return 0
	}
	return uint64(q.Value())
}
