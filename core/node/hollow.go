package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	hollowWorkers = 32
	hollowTimeout = 15 * time.Second
	// leasePeriod and leaseDuration are those of a real node.
	leasePeriod   = 10 * time.Second
	leaseDuration = 40
)

// HollowOptions of a Hollow.
type HollowOptions struct {
	// RestConfig reaches the API as a user who may act for all the nodes.
	RestConfig *rest.Config
	// Plugins has the runtime, by intent the hollow one. No other is asked for.
	Plugins Plugins
	// Count of the nodes, named <Prefix>0 and on; the prefix is "hollow-" by
	// default.
	Count  int
	Prefix string
	// Capacity of each node, by default 8 CPUs, 32Gi and 110 pods.
	Capacity corev1.ResourceList
	Labels   map[string]string
	Version  string
	Logger   *slog.Logger
}

// Hollow is many nodes in one process, without containers: for simulations of
// large clusters. All nodes share one watch of pods, one runtime plugin and a
// fixed number of goroutines. A pod is Running as soon as it was seen, with an
// address that nobody holds, and goes when it is deleted.
type Hollow struct {
	o      HollowOptions
	client kubernetes.Interface
	log    *slog.Logger
	pods   *hollowPods
}

// NewHollow checks the options.
func NewHollow(o HollowOptions) (*Hollow, error) {
	if o.RestConfig == nil || o.Plugins == nil {
		return nil, errors.New("hollow nodes need a way to the API and a runtime plugin")
	}
	client, err := NewClient(o.RestConfig)
	if err != nil {
		return nil, fmt.Errorf("hollow nodes: reaching the API: %w", err)
	}
	return newHollow(o, client)
}

func newHollow(o HollowOptions, client kubernetes.Interface) (*Hollow, error) {
	if o.Count <= 0 {
		return nil, fmt.Errorf("the number of hollow nodes is %d: at least 1 is needed", o.Count)
	}
	if o.Prefix == "" {
		o.Prefix = "hollow-"
	}
	if o.Capacity == nil {
		o.Capacity = corev1.ResourceList{
			corev1.ResourceCPU:              resource.MustParse("8"),
			corev1.ResourceMemory:           resource.MustParse("32Gi"),
			corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"),
			corev1.ResourcePods:             *resource.NewQuantity(DefaultMaxPods, resource.DecimalSI),
		}
	}
	if o.Version == "" {
		o.Version = "v0.0.0-dev"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	h := &Hollow{o: o, client: client, log: o.Logger}
	h.pods = newHollowPods(h)
	return h, nil
}

func (h *Hollow) name(i int) string { return fmt.Sprintf("%s%d", h.o.Prefix, i) }

// Run works until ctx ends. The nodes stay in the API; their leases run out.
func (h *Hollow) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	if err := h.each(ctx, h.register); err != nil {
		return err
	}
	h.log.Info("hollow nodes are registered", "nodes", h.o.Count)
	wg.Go(func() { h.pods.run(ctx) })
	leases := make([]*coordinationv1.Lease, h.o.Count)
	for ctx.Err() == nil {
		began := time.Now()
		if err := h.each(ctx, func(ctx context.Context, i int) error { return h.renew(ctx, i, &leases[i]) }); err != nil && ctx.Err() == nil {
			h.log.Warn("renewing the leases of hollow nodes failed, it is repeated", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(max(leasePeriod-time.Since(began), time.Second)):
		}
	}
	return nil
}

// each calls fn for all nodes, a few at a time, and returns one of the errors.
func (h *Hollow) each(ctx context.Context, fn func(ctx context.Context, i int) error) error {
	next := make(chan int)
	var mu sync.Mutex
	var failed error
	var wg sync.WaitGroup
	for range min(hollowWorkers, h.o.Count) {
		wg.Go(func() {
			for i := range next {
				callCtx, cancel := context.WithTimeout(ctx, hollowTimeout)
				err := fn(callCtx, i)
				cancel()
				if err != nil {
					mu.Lock()
					failed = fmt.Errorf("node %s: %w", h.name(i), err)
					mu.Unlock()
				}
			}
		})
	}
	for i := range h.o.Count {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	return failed
}

// register makes the node and says that it is ready.
func (h *Hollow) register(ctx context.Context, i int) error {
	nodes := h.client.CoreV1().Nodes()
	name := h.name(i)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: nodeLabels(name, h.o.Labels)}}
	node.Labels["pintle.io/hollow"] = "true"
	node.Status = h.status(i)
	got, err := nodes.Create(ctx, node, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		got, err = nodes.Get(ctx, name, metav1.GetOptions{})
	}
	if err != nil {
		return err
	}
	got = got.DeepCopy()
	got.Status = h.status(i)
	if got, err = nodes.UpdateStatus(ctx, got, metav1.UpdateOptions{}); err != nil {
		return err
	}
	h.pods.addNode(got)
	return nil
}

func (h *Hollow) status(i int) corev1.NodeStatus {
	now := metav1.Now()
	s := corev1.NodeStatus{
		Capacity: h.o.Capacity, Allocatable: h.o.Capacity,
		Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: hollowAddress(i)}, {Type: corev1.NodeHostName, Address: h.name(i)}},
		NodeInfo: corev1.NodeSystemInfo{
			KubeletVersion: h.o.Version, OperatingSystem: "linux", Architecture: "amd64", OSImage: "hollow",
			ContainerRuntimeVersion: "hollow://1", KernelVersion: "hollow",
			MachineID: h.name(i), SystemUUID: h.name(i), BootID: h.name(i),
		},
	}
	for _, c := range []corev1.NodeCondition{
		pressureCondition(corev1.NodeMemoryPressure, "", "", "KubeletHasSufficientMemory", "hollow"),
		pressureCondition(corev1.NodeDiskPressure, "", "", "KubeletHasNoDiskPressure", "hollow"),
		pressureCondition(corev1.NodePIDPressure, "", "", "KubeletHasSufficientPID", "hollow"),
		{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "the node is hollow: its pods have no containers"},
	} {
		c.LastHeartbeatTime, c.LastTransitionTime = now, now
		s.Conditions = append(s.Conditions, c)
	}
	return s
}

// hollowAddress is of the range for benchmarks (RFC 2544), which is routed
// nowhere.
func hollowAddress(i int) string {
	return fmt.Sprintf("198.%d.%d.%d", 18+(i>>16)&1, (i>>8)&255, i&255)
}

func (h *Hollow) renew(ctx context.Context, i int, lease **coordinationv1.Lease) error {
	leases := h.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	name, seconds, now := h.name(i), int32(leaseDuration), metav1.NowMicro()
	l := *lease
	if l == nil {
		got, err := leases.Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			l = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: corev1.NamespaceNodeLease}}
		case err != nil:
			return err
		default:
			l = got
		}
	}
	l = l.DeepCopy()
	l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds, l.Spec.RenewTime = &name, &seconds, &now
	var err error
	if l.ResourceVersion == "" {
		*lease, err = leases.Create(ctx, l, metav1.CreateOptions{})
	} else {
		*lease, err = leases.Update(ctx, l, metav1.UpdateOptions{})
	}
	if err != nil {
		*lease = nil
	}
	return err
}
