package nodestatus

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"
	nodeutil "k8s.io/component-helpers/node/util"

	"github.com/pintle-io/pintle/core/node/internal/events"
)

const (
	measurePeriod = 10 * time.Second
	reportPeriod  = 5 * time.Minute
	// leaseSeconds is how long the node counts as alive after a renewal.
	leaseSeconds = 40
	renewPeriod  = leaseSeconds / 4 * time.Second
	retryPeriod  = time.Second
	callTimeout  = 10 * time.Second
)

// Options of a Keeper.
type Options struct {
	Name   string
	Client kubernetes.Interface
	// Labels and Taints at registration; labels are kept afterwards.
	Labels map[string]string
	Taints []corev1.Taint
	// Measure fills a status that holds the API's last one.
	Measure func(ctx context.Context, status *corev1.NodeStatus)
	Events  record.EventRecorder
	Log     *slog.Logger
}

// Keeper of the node's objects.
type Keeper struct {
	o    Options
	wake chan struct{}

	mu       sync.Mutex
	node     *corev1.Node
	reported time.Time
	ready    chan struct{}
	isReady  bool
}

// New makes a Keeper.
func New(o Options) *Keeper {
	return &Keeper{o: o, wake: make(chan struct{}, 1), ready: make(chan struct{})}
}

// Node as last seen in the API, nil before registration.
func (k *Keeper) Node() *corev1.Node {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.node
}

// Observe takes the node from a watch.
func (k *Keeper) Observe(node *corev1.Node) {
	if node.Name != k.o.Name {
		return
	}
	k.mu.Lock()
	first := k.node == nil
	k.node = node
	k.mu.Unlock()
	if first {
		k.Wake()
	}
}

// Wake measures now.
func (k *Keeper) Wake() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Registered is closed once the node is in the API.
func (k *Keeper) Registered() <-chan struct{} { return k.ready }

// Run works until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	for !k.register(ctx) {
		if !sleep(ctx, retryPeriod) {
			return
		}
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { k.renew(ctx) })
	k.o.Events.Event(events.Node(k.o.Name), corev1.EventTypeNormal, "Starting", "Starting the node agent.")
	tick := time.NewTicker(measurePeriod)
	defer tick.Stop()
	for {
		wait := time.Duration(0)
		if err := k.report(ctx); err != nil && ctx.Err() == nil {
			k.o.Log.Warn("reporting the node's status failed, it is repeated", "error", err)
			wait = retryPeriod
		}
		if wait > 0 && !sleep(ctx, wait) {
			return
		}
		if wait > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-k.wake:
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// register makes the node in the API, or takes over the one that is there.
func (k *Keeper) register(ctx context.Context) bool {
	callCtx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: k.o.Name, Labels: k.o.Labels}, Spec: corev1.NodeSpec{Taints: k.o.Taints}}
	k.o.Measure(callCtx, &node.Status)
	now := metav1.Now()
	for i := range node.Status.Conditions {
		c := &node.Status.Conditions[i]
		c.LastHeartbeatTime, c.LastTransitionTime = now, now
	}
	nodes := k.o.Client.CoreV1().Nodes()
	got, err := nodes.Create(callCtx, node, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		got, err = k.adopt(callCtx)
	}
	if err != nil {
		if ctx.Err() == nil {
			k.o.Log.Warn("registering the node failed, it is repeated", "node", k.o.Name, "error", err)
		}
		return false
	}
	k.o.Log.Info("the node is registered", "node", k.o.Name)
	k.Observe(got)
	k.mu.Lock()
	if !k.isReady {
		k.isReady = true
		close(k.ready)
	}
	k.mu.Unlock()
	return true
}

// adopt sees to the labels of a node that was there before; taints and other
// labels are whoever set them's.
func (k *Keeper) adopt(ctx context.Context) (*corev1.Node, error) {
	nodes := k.o.Client.CoreV1().Nodes()
	node, err := nodes.Get(ctx, k.o.Name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	labels := maps.Clone(node.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, k.o.Labels)
	if maps.Equal(labels, node.Labels) {
		return node, nil
	}
	changed := node.DeepCopy()
	changed.Labels = labels
	return nodes.Update(ctx, changed, metav1.UpdateOptions{})
}

// report measures and writes the status where it changed or is old.
func (k *Keeper) report(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*callTimeout)
	defer cancel()
	old := k.Node()
	node := old.DeepCopy()
	k.o.Measure(ctx, &node.Status)
	now := metav1.Now()
	for i := range node.Status.Conditions {
		c := &node.Status.Conditions[i]
		_, before := nodeutil.GetNodeCondition(&old.Status, c.Type)
		if before == nil || before.Status != c.Status {
			c.LastTransitionTime = now
			if before != nil || c.Type == corev1.NodeReady {
				k.announce(c)
			}
		} else {
			c.LastTransitionTime = before.LastTransitionTime
		}
	}
	k.mu.Lock()
	due := time.Since(k.reported) >= reportPeriod
	k.mu.Unlock()
	if !due && same(&old.Status, &node.Status) {
		return nil
	}
	for i := range node.Status.Conditions {
		node.Status.Conditions[i].LastHeartbeatTime = now
	}
	got, _, err := nodeutil.PatchNodeStatus(k.o.Client.CoreV1(), types.NodeName(k.o.Name), old, node)
	if apierrors.IsNotFound(err) {
		// Somebody deleted it: it is registered again.
		if k.register(ctx) {
			return nil
		}
		return err
	}
	if err != nil {
		return fmt.Errorf("node %s: %w", k.o.Name, err)
	}
	k.mu.Lock()
	k.node, k.reported = got, time.Now()
	k.mu.Unlock()
	return nil
}

// announce tells people of a condition that changed, in Kubernetes' words.
func (k *Keeper) announce(c *corev1.NodeCondition) {
	reason := ""
	switch {
	case c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue:
		reason = "NodeReady"
	case c.Type == corev1.NodeReady:
		reason = "NodeNotReady"
	case c.Type == corev1.NodeMemoryPressure && c.Status == corev1.ConditionTrue:
		reason = "NodeHasInsufficientMemory"
	case c.Type == corev1.NodeMemoryPressure:
		reason = "NodeHasSufficientMemory"
	case c.Type == corev1.NodeDiskPressure && c.Status == corev1.ConditionTrue:
		reason = "NodeHasDiskPressure"
	case c.Type == corev1.NodeDiskPressure:
		reason = "NodeHasNoDiskPressure"
	case c.Type == corev1.NodePIDPressure && c.Status == corev1.ConditionTrue:
		reason = "NodeHasInsufficientPID"
	case c.Type == corev1.NodePIDPressure:
		reason = "NodeHasSufficientPID"
	default:
		return
	}
	k.o.Events.Eventf(events.Node(k.o.Name), corev1.EventTypeNormal, reason, "Node %s status is now: %s", k.o.Name, reason)
}

// same compares all but heartbeats.
func same(a, b *corev1.NodeStatus) bool {
	x, y := a.DeepCopy(), b.DeepCopy()
	for _, s := range []*corev1.NodeStatus{x, y} {
		for i := range s.Conditions {
			s.Conditions[i].LastHeartbeatTime = metav1.Time{}
		}
	}
	return equality.Semantic.DeepEqual(x, y)
}

// renew keeps the node's lease.
func (k *Keeper) renew(ctx context.Context) {
	var lease *coordinationv1.Lease
	for {
		next := renewPeriod
		var err error
		if lease, err = k.renewOnce(ctx, lease); err != nil && ctx.Err() == nil {
			k.o.Log.Warn("renewing the node's lease failed, it is repeated", "error", err)
			lease, next = nil, retryPeriod
		}
		if !sleep(ctx, next) {
			return
		}
	}
}

func (k *Keeper) renewOnce(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	leases := k.o.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	if lease == nil {
		got, err := leases.Get(ctx, k.o.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return leases.Create(ctx, k.lease(nil), metav1.CreateOptions{})
		}
		if err != nil {
			return nil, err
		}
		lease = got
	}
	return leases.Update(ctx, k.lease(lease), metav1.UpdateOptions{})
}

func (k *Keeper) lease(old *coordinationv1.Lease) *coordinationv1.Lease {
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: k.o.Name, Namespace: corev1.NamespaceNodeLease}}
	if old != nil {
		l = old.DeepCopy()
	}
	seconds, now := int32(leaseSeconds), metav1.NowMicro()
	l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds, l.Spec.RenewTime = &k.o.Name, &seconds, &now
	if node := k.Node(); node != nil && len(l.OwnerReferences) == 0 {
		l.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID}}
	}
	return l
}
