package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/pintle-io/pintle/core/node/internal/podspec"
	"github.com/pintle-io/pintle/core/node/internal/podstatus"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

// hollowPods are the pods of all hollow nodes: one watch, one queue, a fixed
// number of workers.
type hollowPods struct {
	h        *Hollow
	informer cache.SharedIndexInformer
	queue    workqueue.TypedRateLimitingInterface[string]

	mu    sync.Mutex
	nodes map[string]*hollowNode
	runs  map[types.UID]string // pods with a sandbox, to their addresses
}

type hollowNode struct {
	address string
	prefix  netip.Prefix
	next    netip.Addr
}

func newHollowPods(h *Hollow) *hollowPods {
	factory := informers.NewSharedInformerFactoryWithOptions(h.client, 0,
		informers.WithTransform(trim),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = "spec.nodeName!=" }))
	return &hollowPods{
		h: h, informer: factory.Core().V1().Pods().Informer(),
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](100*time.Millisecond, 30*time.Second)),
		nodes: map[string]*hollowNode{}, runs: map[types.UID]string{},
	}
}

func (p *hollowPods) addNode(n *corev1.Node) {
	hn := &hollowNode{address: n.Status.Addresses[0].Address}
	if prefix, err := netip.ParsePrefix(n.Spec.PodCIDR); err == nil {
		hn.prefix, hn.next = prefix.Masked(), prefix.Masked().Addr().Next()
	}
	p.mu.Lock()
	p.nodes[n.Name] = hn
	p.mu.Unlock()
}

// address of a pod; addresses come again when the node's range was gone
// through, which a pod without containers never notices.
func (p *hollowPods) address(pod *corev1.Pod) (podIP, nodeIP string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.nodes[pod.Spec.NodeName]
	ip := p.runs[pod.UID]
	if ip == "" {
		if !n.prefix.IsValid() {
			ip = n.address
		} else {
			n.next = n.next.Next()
			if !n.prefix.Contains(n.next) {
				n.next = n.prefix.Addr().Next().Next()
			}
			ip = n.next.String()
		}
		p.runs[pod.UID] = ip
	}
	return ip, n.address
}

func (p *hollowPods) mine(pod *corev1.Pod) bool {
	if !strings.HasPrefix(pod.Spec.NodeName, p.h.o.Prefix) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.nodes[pod.Spec.NodeName] != nil
}

func (p *hollowPods) run(ctx context.Context) {
	enqueue := func(obj any) {
		if tomb, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = tomb.Obj
		}
		pod, ok := obj.(*corev1.Pod)
		if ok && p.mine(pod) {
			p.queue.Add(pod.Namespace + "/" + pod.Name)
		}
	}
	if _, err := p.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		UpdateFunc: func(_, obj any) { enqueue(obj) },
		DeleteFunc: func(obj any) {
			enqueue(obj)
			if pod, ok := obj.(*corev1.Pod); ok {
				if err := p.forget(ctx, pod.UID); err != nil {
					p.h.log.Debug("taking a pod out of the hollow runtime failed", "pod", pod.Name, "error", err)
				}
			}
		},
	}); err != nil {
		p.h.log.Error("watching the pods of hollow nodes failed", "error", err)
		return
	}
	stop := context.AfterFunc(ctx, p.queue.ShutDown)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { p.informer.RunWithContext(ctx) })
	for range hollowWorkers {
		wg.Go(func() {
			for {
				key, quit := p.queue.Get()
				if quit {
					return
				}
				if err := p.sync(ctx, key); err != nil && ctx.Err() == nil {
					p.h.log.Debug("a pod of a hollow node is tried again", "pod", key, "error", err)
					p.queue.AddRateLimited(key)
				} else {
					p.queue.Forget(key)
				}
				p.queue.Done(key)
			}
		})
	}
	wg.Wait()
}

func (p *hollowPods) sync(ctx context.Context, key string) error {
	obj, ok, err := p.informer.GetStore().GetByKey(key)
	if err != nil || !ok {
		return err
	}
	pod := obj.(*corev1.Pod)
	ctx, cancel := context.WithTimeout(ctx, hollowTimeout)
	defer cancel()
	if pod.DeletionTimestamp != nil {
		if err := p.forget(ctx, pod.UID); err != nil {
			return err
		}
		grace := int64(0)
		err := p.h.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: &grace, Preconditions: &metav1.Preconditions{UID: &pod.UID},
		})
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return nil
		}
		return err
	}
	if pod.Status.Phase != corev1.PodPending && pod.Status.Phase != "" {
		return nil
	}
	return p.start(ctx, pod)
}

// start runs the pod in the hollow runtime and says so.
func (p *hollowPods) start(ctx context.Context, pod *corev1.Pod) error {
	rt, err := p.h.o.Plugins.Runtime()
	if err != nil {
		return err
	}
	podIP, nodeIP := p.address(pod)
	network, ipc, pid := podspec.Namespaces(pod)
	if _, err := rt.CreateSandbox(ctx, &pluginv1.CreateSandboxRequest{
		SandboxId: string(pod.UID), Pod: podspec.Identity(pod), Hostname: pod.Name,
		Network: network, Ipc: ipc, Pid: pid, Labels: podspec.PodLabels(pod),
	}); err != nil {
		return fmt.Errorf("creating a sandbox: %w", err)
	}
	in := podstatus.Input{
		Pod: pod, SandboxReady: true, PodIPs: []string{podIP}, HostIPs: []string{nodeIP}, RuntimeName: "hollow",
		Started: map[string]bool{}, Ready: map[string]bool{}, Now: time.Now(), StartTime: time.Now(), Observed: true,
	}
	if pod.Spec.HostNetwork {
		in.PodIPs = in.HostIPs
	}
	for _, c := range podspec.AllContainers(pod) {
		id := hollowID(pod.UID, c.Name)
		run := &pluginv1.Container{
			Id: id, SandboxId: string(pod.UID), Name: c.Name, Image: c.Image, ImageId: c.Image,
			State: pluginv1.Container_STATE_RUNNING, CreatedAt: timestamppb.Now(), StartedAt: timestamppb.Now(),
		}
		if !regular(pod, c) && !podspec.IsSidecar(c) {
			// Init containers have done their work at once.
			run.State, run.FinishedAt = pluginv1.Container_STATE_EXITED, timestamppb.Now()
		} else {
			if err := p.startContainer(ctx, pod, c, id); err != nil {
				return err
			}
			in.Started[c.Name], in.Ready[c.Name] = true, true
		}
		in.Containers = append(in.Containers, run)
	}
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID}, "status": podstatus.Generate(in),
	})
	if err != nil {
		return err
	}
	_, err = p.h.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, body, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// hollowID is the same each time that a pod is tried again.
func hollowID(uid types.UID, container string) string {
	sum := sha256.Sum256([]byte(string(uid) + "/" + container))
	return hex.EncodeToString(sum[:])
}

func regular(pod *corev1.Pod, c *corev1.Container) bool {
	for i := range pod.Spec.Containers {
		if &pod.Spec.Containers[i] == c {
			return true
		}
	}
	return false
}

func (p *hollowPods) startContainer(ctx context.Context, pod *corev1.Pod, c *corev1.Container, id string) error {
	rt, err := p.h.o.Plugins.Runtime()
	if err != nil {
		return err
	}
	req := &pluginv1.CreateContainerRequest{
		SandboxId: string(pod.UID), ContainerId: id, Name: c.Name, Image: c.Image,
		Labels: podspec.ContainerLabels(pod, c), Annotations: pod.Annotations,
	}
	_, err = rt.CreateContainer(ctx, req)
	if errs.Is(err, errs.ClassNotFound) {
		// The image, the first time that a pod uses it.
		if _, err := rt.PullImage(ctx, &pluginv1.PullImageRequest{Image: c.Image}, func(*pluginv1.PullImageResponse) {}); err != nil {
			return fmt.Errorf("pulling image %s: %w", c.Image, err)
		}
		_, err = rt.CreateContainer(ctx, req)
	}
	if err != nil {
		return fmt.Errorf("creating container %s: %w", c.Name, err)
	}
	if _, err := rt.StartContainer(ctx, &pluginv1.StartContainerRequest{ContainerId: id}); err != nil {
		return fmt.Errorf("starting container %s: %w", c.Name, err)
	}
	return nil
}

// forget takes a pod out of the runtime.
func (p *hollowPods) forget(ctx context.Context, uid types.UID) error {
	p.mu.Lock()
	_, ok := p.runs[uid]
	delete(p.runs, uid)
	p.mu.Unlock()
	if !ok {
		return nil
	}
	rt, err := p.h.o.Plugins.Runtime()
	if err != nil {
		return nil //nolint:nilerr // a runtime that is away has forgotten all of its own
	}
	_, err = rt.RemoveSandbox(ctx, &pluginv1.RemoveSandboxRequest{SandboxId: string(uid)})
	return err
}
