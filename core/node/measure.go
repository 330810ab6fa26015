package node

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/pintle-io/pintle/core/node/internal/machine"
	"github.com/pintle-io/pintle/core/node/internal/runtimeview"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

const (
	// maxImages are listed in the node's status, the biggest ones.
	maxImages   = 50
	infoTimeout = 5 * time.Second
	// staleView: the runtime was not listed for so long that nothing is known
	// of it, as the kubelet's relist threshold.
	staleView = 3 * time.Minute
	// diskHeld back from what pods may use, as Kubernetes' default for eviction.
	diskHeldPercent = 10
	memoryHeld      = 100 << 20
)

// measurer fills the node's status.
type measurer struct {
	o        *Options
	info     machine.Info
	view     *runtimeview.View
	network  func() error
	pressure func() Pressure
	log      *slog.Logger

	mu      sync.Mutex
	runtime *pluginv1.RuntimeInfoResponse
}

// Pressure is what the node is short of, and how it was found.
type Pressure struct {
	Memory, Disk, PID string
}

// runtimeName is "containerd" until the runtime says otherwise.
func (m *measurer) runtimeName() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.runtime.GetRuntimeName() == "" {
		return "containerd"
	}
	return m.runtime.RuntimeName
}

// imageStore is the path of the disk that holds images, where it is known.
func (m *measurer) imageStore() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.runtime.GetImageStorePath()
}

func (m *measurer) measure(ctx context.Context, s *corev1.NodeStatus) {
	runtimeErr := m.askRuntime(ctx, s)
	m.addresses(s)
	m.resources(s)
	m.nodeInfo(s)
	if m.o.Listener != nil {
		if a, ok := m.o.Listener.Addr().(*net.TCPAddr); ok {
			s.DaemonEndpoints.KubeletEndpoint.Port = int32(a.Port)
		}
	}
	m.conditions(s, runtimeErr)
}

// askRuntime learns what runs the containers and which images there are.
func (m *measurer) askRuntime(ctx context.Context, s *corev1.NodeStatus) error {
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	rt, err := m.o.Plugins.Runtime()
	if err != nil {
		return err
	}
	info, err := rt.Info(ctx, &pluginv1.RuntimeInfoRequest{})
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.runtime = info
	m.mu.Unlock()
	images, err := rt.ListImages(ctx, &pluginv1.ListImagesRequest{})
	if err != nil {
		return nil //nolint:nilerr // the last list stays; the runtime itself answers
	}
	slices.SortFunc(images.Images, func(a, b *pluginv1.Image) int {
		return cmp.Or(cmp.Compare(b.SizeBytes, a.SizeBytes), cmp.Compare(a.Id, b.Id))
	})
	s.Images = nil
	for _, image := range images.Images[:min(len(images.Images), maxImages)] {
		s.Images = append(s.Images, corev1.ContainerImage{
			Names: append(slices.Clone(image.Digests), image.Tags...), SizeBytes: image.SizeBytes,
		})
	}
	return nil
}

func (m *measurer) addresses(s *corev1.NodeStatus) {
	s.Addresses = nil
	for _, a := range m.o.Addresses {
		s.Addresses = append(s.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a})
	}
	s.Addresses = append(s.Addresses, corev1.NodeAddress{Type: corev1.NodeHostName, Address: m.o.Name})
}

// Quantities of a node.
func quantity(n int64) resource.Quantity { return *resource.NewQuantity(n, resource.BinarySI) }

func (m *measurer) resources(s *corev1.NodeStatus) {
	capacity := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewQuantity(int64(m.info.CPUs), resource.DecimalSI),
		corev1.ResourceMemory: quantity(m.info.MemoryBytes),
		corev1.ResourcePods:   *resource.NewQuantity(int64(m.o.MaxPods), resource.DecimalSI),
	}
	disk, err := machine.DiskOf(m.o.RootDir)
	if err == nil {
		capacity[corev1.ResourceEphemeralStorage] = quantity(int64(disk.TotalBytes))
	} else {
		m.log.Warn("measuring the node's disk failed", "error", err)
	}
	allocatable := corev1.ResourceList{}
	for name, q := range capacity {
		q = q.DeepCopy()
		switch name {
		case corev1.ResourceMemory:
			q.Sub(quantity(memoryHeld))
		case corev1.ResourceEphemeralStorage:
			q = quantity(int64(disk.TotalBytes) / 100 * (100 - diskHeldPercent))
		}
		if r, ok := m.o.Reserved[name]; ok {
			q.Sub(r)
		}
		if q.Sign() < 0 {
			q.Set(0)
		}
		allocatable[name] = q
	}
	s.Capacity, s.Allocatable = capacity, allocatable
}

func (m *measurer) nodeInfo(s *corev1.NodeStatus) {
	m.mu.Lock()
	rt := m.runtime
	m.mu.Unlock()
	version := ""
	if rt != nil {
		version = rt.RuntimeName + "://" + rt.RuntimeVersion
	}
	s.NodeInfo = corev1.NodeSystemInfo{
		MachineID: m.info.MachineID, SystemUUID: m.info.SystemUUID, BootID: m.info.BootID,
		KernelVersion: m.info.KernelVersion, OSImage: m.info.OSImage, ContainerRuntimeVersion: version,
		KubeletVersion: m.o.Version, OperatingSystem: "linux", Architecture: m.info.Architecture,
	}
}

// conditions: Ready needs a runtime that answers, a view of it that is not
// stale, and a network that can give pods addresses.
func (m *measurer) conditions(s *corev1.NodeStatus, runtimeErr error) {
	var problems []string
	if runtimeErr != nil {
		problems = append(problems, "container runtime is down: "+errs.Text(runtimeErr))
	} else if last, err := m.view.Health(); !last.IsZero() && time.Since(last) > staleView {
		problems = append(problems, fmt.Sprintf("the runtime's containers were last listed %s ago: %v", time.Since(last).Truncate(time.Second), err))
	} else if last.IsZero() {
		problems = append(problems, "the runtime's containers have not been listed yet")
	}
	if err := m.network(); err != nil {
		problems = append(problems, "container runtime network not ready: NetworkReady=false: "+errs.Text(err))
	}
	ready := corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "the node agent is ready"}
	if len(problems) > 0 {
		ready.Status, ready.Reason, ready.Message = corev1.ConditionFalse, "KubeletNotReady", strings.Join(problems, "; ")
	}
	var p Pressure
	if m.pressure != nil {
		p = m.pressure()
	}
	set(s, pressureCondition(corev1.NodeMemoryPressure, p.Memory, "KubeletHasInsufficientMemory", "KubeletHasSufficientMemory", "node has sufficient memory available"))
	set(s, pressureCondition(corev1.NodeDiskPressure, p.Disk, "KubeletHasDiskPressure", "KubeletHasNoDiskPressure", "node has no disk pressure"))
	set(s, pressureCondition(corev1.NodePIDPressure, p.PID, "KubeletHasInsufficientPID", "KubeletHasSufficientPID", "node has sufficient PID available"))
	set(s, ready)
}

func pressureCondition(t corev1.NodeConditionType, problem, bad, good, message string) corev1.NodeCondition {
	if problem != "" {
		return corev1.NodeCondition{Type: t, Status: corev1.ConditionTrue, Reason: bad, Message: problem}
	}
	return corev1.NodeCondition{Type: t, Status: corev1.ConditionFalse, Reason: good, Message: message}
}

func set(s *corev1.NodeStatus, c corev1.NodeCondition) {
	if i := slices.IndexFunc(s.Conditions, func(o corev1.NodeCondition) bool { return o.Type == c.Type }); i >= 0 {
		s.Conditions[i] = c
		return
	}
	s.Conditions = append(s.Conditions, c)
}
