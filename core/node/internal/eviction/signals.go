package eviction

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/pintle-io/pintle/core/node/internal/machine"
)

// Kind of resource that can run short.
type Kind string

// The kinds, as messages name them.
const (
	Memory  Kind = "memory"
	Disk    Kind = "ephemeral-storage"
	Inodes  Kind = "inodes"
	Process Kind = "pids"
)

// Thresholds below which the node is under pressure.
type Thresholds struct {
	MemoryBytes        uint64
	DiskPercent        uint64
	ImageDiskPercent   uint64
	InodesPercent      uint64
	ProcessesRemaining int64
}

// DefaultThresholds are those of Kubernetes' hard eviction; process IDs have
// none there.
func DefaultThresholds() Thresholds {
	return Thresholds{MemoryBytes: 100 << 20, DiskPercent: 10, ImageDiskPercent: 15, InodesPercent: 5, ProcessesRemaining: 100}
}

// Measured values of a node. What could not be measured is nil.
type Measured struct {
	MemoryTotal, MemoryAvailable uint64
	Disk, ImageDisk              *machine.Disk
	Processes, ProcessLimit      int64
}

// Shortage of one resource.
type Shortage struct {
	Kind    Kind
	Message string
}

// Check compares what was measured with the thresholds.
func Check(m Measured, t Thresholds) []Shortage {
	var out []Shortage
	add := func(k Kind, format string, args ...any) {
		out = append(out, Shortage{k, fmt.Sprintf("The node was low on resource: %s. ", k) + fmt.Sprintf(format, args...)})
	}
	if m.MemoryTotal > 0 && m.MemoryAvailable < t.MemoryBytes {
		add(Memory, "Threshold quantity: %s, available: %s.", bytes(t.MemoryBytes), bytes(m.MemoryAvailable))
	}
	short := func(d *machine.Disk, percent uint64, what string) {
		if d == nil || d.TotalBytes == 0 {
			return
		}
		if limit := d.TotalBytes / 100 * percent; d.AvailableBytes < limit {
			add(Disk, "Threshold quantity: %s of the %s, available: %s.", bytes(limit), what, bytes(d.AvailableBytes))
		}
		if limit := d.TotalInodes / 100 * t.InodesPercent; d.TotalInodes > 0 && d.FreeInodes < limit {
			add(Inodes, "Threshold quantity: %d of the %s, available: %d.", limit, what, d.FreeInodes)
		}
	}
	short(m.Disk, t.DiskPercent, "node's disk")
	short(m.ImageDisk, t.ImageDiskPercent, "disk of images")
	if m.ProcessLimit > 0 && m.ProcessLimit-m.Processes < t.ProcessesRemaining {
		add(Process, "Threshold quantity: %d, available: %d.", t.ProcessesRemaining, m.ProcessLimit-m.Processes)
	}
	return out
}

func bytes(n uint64) string { return resource.NewQuantity(int64(n), resource.BinarySI).String() }
