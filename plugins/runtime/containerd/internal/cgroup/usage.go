package cgroup

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Usage is what a cgroup uses now. What can't be read is 0.
type Usage struct {
	CPUNanoseconds uint64
	MemoryBytes    uint64
	// MemoryBytes less the inactive page cache, as Kubernetes defines it.
	WorkingSetBytes uint64
	RSSBytes        uint64
	Pids            uint64
}

// Read measures a cgroup. It reads the few files that it needs, not all that
// there are, since it is called for every container of a node in a row.
func Read(group string) Usage {
	var u Usage
	if unified() {
		dir := filepath.Join(root, group)
		u.CPUNanoseconds = counter(filepath.Join(dir, "cpu.stat"), "usage_usec") * 1000
		u.MemoryBytes = number(filepath.Join(dir, "memory.current"))
		stat := filepath.Join(dir, "memory.stat")
		u.RSSBytes = counter(stat, "anon")
		u.WorkingSetBytes = less(u.MemoryBytes, counter(stat, "inactive_file"))
		u.Pids = number(filepath.Join(dir, "pids.current"))
		return u
	}
	u.CPUNanoseconds = number(filepath.Join(root, "cpuacct", group, "cpuacct.usage"))
	memory := filepath.Join(root, "memory", group)
	u.MemoryBytes = number(filepath.Join(memory, "memory.usage_in_bytes"))
	stat := filepath.Join(memory, "memory.stat")
	u.RSSBytes = counter(stat, "total_rss")
	u.WorkingSetBytes = less(u.MemoryBytes, counter(stat, "total_inactive_file"))
	u.Pids = number(filepath.Join(root, "pids", group, "pids.current"))
	return u
}

func less(a, b uint64) uint64 {
	if b > a {
		return 0
	}
	return a - b
}

func number(file string) uint64 {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
