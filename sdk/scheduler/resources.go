package scheduler

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Resources are amounts of what nodes offer and pods ask for.
type Resources struct {
	// MilliCPU is in thousandths of a core, the others in bytes.
	MilliCPU, Memory, EphemeralStorage int64
	// Extended resources and huge pages, by name.
	Extended map[corev1.ResourceName]int64
}

// ResourcesOf reads a list of the API. Names that are no compute resource, such
// as "pods", are left out.
func ResourcesOf(list corev1.ResourceList) Resources {
	var r Resources
	for name, q := range list {
		switch name {
		case corev1.ResourceCPU:
			r.MilliCPU = q.MilliValue()
		case corev1.ResourceMemory:
			r.Memory = q.Value()
		case corev1.ResourceEphemeralStorage:
			r.EphemeralStorage = q.Value()
		case corev1.ResourcePods:
		default:
			if r.Extended == nil {
				r.Extended = map[corev1.ResourceName]int64{}
			}
			r.Extended[name] = q.Value()
		}
	}
	return r
}

func (r *Resources) add(o *Resources) {
	r.MilliCPU += o.MilliCPU
	r.Memory += o.Memory
	r.EphemeralStorage += o.EphemeralStorage
	for name, n := range o.Extended {
		if r.Extended == nil {
			r.Extended = map[corev1.ResourceName]int64{}
		}
		r.Extended[name] += n
	}
}

func (r *Resources) subtract(o *Resources) {
	r.MilliCPU -= o.MilliCPU
	r.Memory -= o.Memory
	r.EphemeralStorage -= o.EphemeralStorage
	for name, n := range o.Extended {
		if r.Extended[name] -= n; r.Extended[name] == 0 {
			delete(r.Extended, name)
		}
	}
}

// atLeast raises every amount to that of o.
func (r *Resources) atLeast(o *Resources) {
	r.MilliCPU = max(r.MilliCPU, o.MilliCPU)
	r.Memory = max(r.Memory, o.Memory)
	r.EphemeralStorage = max(r.EphemeralStorage, o.EphemeralStorage)
	for name, n := range o.Extended {
		if n > r.Extended[name] {
			if r.Extended == nil {
				r.Extended = map[corev1.ResourceName]int64{}
			}
			r.Extended[name] = n
		}
	}
}

// replace takes over the amounts of o for the names in a list.
func (r *Resources) replace(o *Resources, names corev1.ResourceList) {
	for name := range names {
		switch name {
		case corev1.ResourceCPU:
			r.MilliCPU = o.MilliCPU
		case corev1.ResourceMemory:
			r.Memory = o.Memory
		default:
			if n, ok := o.Extended[name]; ok {
				if r.Extended == nil {
					r.Extended = map[corev1.ResourceName]int64{}
				}
				r.Extended[name] = n
			}
		}
	}
}

func (r *Resources) clone() Resources {
	c := *r
	c.Extended = maps.Clone(r.Extended)
	return c
}

// podRequests is what a pod needs at its peak: its containers together with
// the init containers that keep running, or any one of the other init
// containers with those that were started before it, plus the overhead.
// https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
func podRequests(spec *corev1.PodSpec) Resources {
	var containers, sidecars, peak Resources
	for i := range spec.Containers {
		r := ResourcesOf(spec.Containers[i].Resources.Requests)
		containers.add(&r)
	}
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		r := ResourcesOf(c.Resources.Requests)
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			sidecars.add(&r)
			peak.atLeast(&sidecars)
			continue
		}
		during := sidecars.clone()
		during.add(&r)
		peak.atLeast(&during)
	}
	containers.add(&sidecars)
	containers.atLeast(&peak)
	if spec.Resources != nil {
		// What the pod asks for as a whole stands in the place of the sum.
		whole := ResourcesOf(spec.Resources.Requests)
		containers.replace(&whole, spec.Resources.Requests)
	}
	if len(spec.Overhead) > 0 {
		r := ResourcesOf(spec.Overhead)
		containers.add(&r)
	}
	return containers
}

// names of extended resources in a stable order.
func (r *Resources) names() []corev1.ResourceName {
	return slices.Sorted(maps.Keys(r.Extended))
}
