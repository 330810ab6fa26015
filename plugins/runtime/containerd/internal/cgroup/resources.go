package cgroup

import (
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// defaultPeriod is the kernel's CPU bandwidth period in microseconds.
const defaultPeriod = 100_000

// Resources turns the contract's limits into those of the OCI runtime
// specification. Memory that is limited is limited with swap included, as
// Kubernetes does it, where the kernel accounts for swap.
func Resources(r *pluginv1.LinuxResources) *specs.LinuxResources {
	out := &specs.LinuxResources{}
	if r.GetCpuShares() != 0 || r.GetCpuQuota() != 0 || r.GetCpusetCpus() != "" || r.GetCpusetMems() != "" {
		out.CPU = &specs.LinuxCPU{Cpus: r.GetCpusetCpus(), Mems: r.GetCpusetMems()}
		if shares := r.GetCpuShares(); shares != 0 {
			out.CPU.Shares = &shares
		}
		if quota := r.GetCpuQuota(); quota != 0 {
			period := r.GetCpuPeriod()
			if period == 0 {
				period = defaultPeriod
			}
			out.CPU.Quota, out.CPU.Period = &quota, &period
		}
	}
	if limit := r.GetMemoryLimitBytes(); limit != 0 {
		out.Memory = &specs.LinuxMemory{Limit: &limit}
		if accountsSwap() {
			swap := limit
			out.Memory.Swap = &swap
		}
	}
	if limit := r.GetPidsLimit(); limit != 0 {
		out.Pids = &specs.LinuxPids{Limit: &limit}
	}
	return out
}

func accountsSwap() bool {
	if unified() {
		_, err := os.Stat("/proc/swaps")
		return err == nil
	}
	_, err := os.Stat(filepath.Join(root, "memory/memory.memsw.limit_in_bytes"))
	return err == nil
}
