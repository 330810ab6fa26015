package podspec

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// Bounds and units of the kernel's CPU controller, and the scores that the
// kernel's OOM killer adds, all as the kubelet sets them.
const (
	minShares     = 2
	maxShares     = 262144
	sharesPerCPU  = 1024
	quotaPeriod   = 100_000 // microseconds
	minQuota      = 1_000   // microseconds
	guaranteedOOM = -997
	bestEffortOOM = 1000
)

// QOSClass is the quality-of-service class that follows from the pod's
// requests and limits of CPU and memory.
func QOSClass(pod *corev1.Pod) corev1.PodQOSClass {
	requests, limits := corev1.ResourceList{}, corev1.ResourceList{}
	guaranteed := true
	add := func(into, from corev1.ResourceList) (seen int) {
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			q, ok := from[name]
			if !ok || q.Sign() <= 0 {
				continue
			}
			seen++
			sum := into[name]
			sum.Add(q)
			into[name] = sum
		}
		return seen
	}
	if r := pod.Spec.Resources; r != nil {
		add(requests, r.Requests)
		guaranteed = add(limits, r.Limits) == 2
	} else {
		for _, c := range AllContainers(pod) {
			add(requests, c.Resources.Requests)
			if add(limits, c.Resources.Limits) != 2 {
				guaranteed = false
			}
		}
	}
	if len(requests) == 0 && len(limits) == 0 {
		return corev1.PodQOSBestEffort
	}
	if guaranteed {
		for name, r := range requests {
			if l, ok := limits[name]; !ok || l.Cmp(r) != 0 {
				guaranteed = false
			}
		}
		if guaranteed && len(requests) == len(limits) {
			return corev1.PodQOSGuaranteed
		}
	}
	return corev1.PodQOSBurstable
}

// CgroupParent is the pod's cgroup below root, by its class.
func CgroupParent(root string, pod *corev1.Pod) string {
	leaf := "/pod" + string(pod.UID)
	switch QOSClass(pod) {
	case corev1.PodQOSGuaranteed:
		return root + leaf
	case corev1.PodQOSBurstable:
		return root + "/burstable" + leaf
	default:
		return root + "/besteffort" + leaf
	}
}

// Shares converts thousandths of a CPU to the kernel's relative weight.
func Shares(milliCPU int64) uint64 {
	if milliCPU <= 0 {
		return minShares
	}
	return uint64(min(max(milliCPU*sharesPerCPU/1000, minShares), maxShares))
}

// Quota converts thousandths of a CPU to microseconds in each period; 0 for no
// limit.
func Quota(milliCPU int64) int64 {
	if milliCPU <= 0 {
		return 0
	}
	return max(milliCPU*quotaPeriod/1000, minQuota)
}

// OOMScoreAdj is what the kernel adds when it looks for a process to kill: the
// less of its request a container uses, the longer it lives.
func OOMScoreAdj(pod *corev1.Pod, c *corev1.Container, memoryCapacity int64) int64 {
	switch QOSClass(pod) {
	case corev1.PodQOSGuaranteed:
		return guaranteedOOM
	case corev1.PodQOSBestEffort:
		return bestEffortOOM
	}
	if memoryCapacity <= 0 {
		return bestEffortOOM - 1
	}
	adj := bestEffortOOM - bestEffortOOM*c.Resources.Requests.Memory().Value()/memoryCapacity
	return min(max(adj, bestEffortOOM+guaranteedOOM), bestEffortOOM-1)
}

// ContainerResources are the limits of one container.
func ContainerResources(pod *corev1.Pod, c *corev1.Container, memoryCapacity int64) *pluginv1.LinuxResources {
	request := c.Resources.Requests.Cpu().MilliValue()
	limit := c.Resources.Limits.Cpu().MilliValue()
	if request == 0 {
		request = limit
	}
	r := &pluginv1.LinuxResources{
		CpuShares:        Shares(request),
		CpuQuota:         Quota(limit),
		MemoryLimitBytes: c.Resources.Limits.Memory().Value(),
		OomScoreAdj:      OOMScoreAdj(pod, c, memoryCapacity),
	}
	if r.CpuQuota > 0 {
		r.CpuPeriod = quotaPeriod
	}
	return r
}

// PodResources are the limits of the pod's cgroup: the sum of its containers'
// where each of them has one.
func PodResources(pod *corev1.Pod) *pluginv1.LinuxResources {
	requests := resource.PodRequests(pod, resource.PodResourcesOptions{})
	limits := resource.PodLimits(pod, resource.PodResourcesOptions{})
	cpuLimited, memoryLimited := true, true
	for _, c := range AllContainers(pod) {
		cpuLimited = cpuLimited && !c.Resources.Limits.Cpu().IsZero()
		memoryLimited = memoryLimited && !c.Resources.Limits.Memory().IsZero()
	}
	if r := pod.Spec.Resources; r != nil {
		cpuLimited = cpuLimited || !r.Limits.Cpu().IsZero()
		memoryLimited = memoryLimited || !r.Limits.Memory().IsZero()
	}
	out := &pluginv1.LinuxResources{CpuShares: Shares(requests.Cpu().MilliValue())}
	if cpuLimited {
		out.CpuQuota, out.CpuPeriod = Quota(limits.Cpu().MilliValue()), quotaPeriod
	}
	if memoryLimited {
		out.MemoryLimitBytes = limits.Memory().Value()
	}
	return out
}
