package server

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/pintle-io/pintle/core/node/internal/machine"
	"github.com/pintle-io/pintle/core/node/internal/podspec"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
)

const statsTimeout = 10 * time.Second

// summary answers with what the node's containers use.
func (s *Server) summary(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), statsTimeout)
	defer cancel()
	measured, err := s.containerStats(ctx)
	if err != nil {
		http.Error(w, errs.Text(err), codeOf(err))
		return
	}
	s.answer(w, &stats.Summary{Node: s.nodeStats(), Pods: s.podStats(measured)})
}

func (s *Server) containerStats(ctx context.Context) (map[string]*pluginv1.ContainerStats, error) {
	rt, err := s.o.Plugins.Runtime()
	if err != nil {
		return nil, err
	}
	reporter, ok := rt.(runtime.StatsReporter)
	if !ok {
		return nil, errs.Unimplemented("the runtime plugin does not measure containers")
	}
	res, err := reporter.Stats(ctx, &pluginv1.StatsRequest{})
	if err != nil {
		return nil, err
	}
	out := make(map[string]*pluginv1.ContainerStats, len(res.Stats))
	for _, st := range res.Stats {
		out[st.ContainerId] = st
	}
	return out, nil
}

func (s *Server) nodeStats() stats.NodeStats {
	now := metav1.Now()
	n := stats.NodeStats{NodeName: s.o.NodeName}
	if total, available, err := machine.Memory(); err == nil {
		a, used := uint64(available), uint64(total-available)
		n.Memory = &stats.MemoryStats{Time: now, AvailableBytes: &a, WorkingSetBytes: &used}
	}
	if d, err := machine.DiskOf(s.o.RootDir); err == nil {
		used := d.UsedBytes()
		n.Fs = &stats.FsStats{
			Time: now, AvailableBytes: &d.AvailableBytes, CapacityBytes: &d.TotalBytes, UsedBytes: &used,
			Inodes: &d.TotalInodes, InodesFree: &d.FreeInodes,
		}
	}
	if count, limit, err := machine.Processes(); err == nil {
		n.Rlimit = &stats.RlimitStats{Time: now, MaxPID: &limit, NumOfRunningProcesses: &count}
	}
	return n
}

func (s *Server) podStats(measured map[string]*pluginv1.ContainerStats) []stats.PodStats {
	var out []stats.PodStats
	for _, pod := range s.o.Pods() {
		p := stats.PodStats{PodRef: stats.PodReference{Name: pod.Name, Namespace: pod.Namespace, UID: string(pod.UID)}}
		if pod.Status.StartTime != nil {
			p.StartTime = *pod.Status.StartTime
		}
		var cpu, working, usage uint64
		var at metav1.Time
		for _, c := range s.o.View.Pod(pod.UID).Containers {
			st := measured[c.Id]
			if st == nil || podspec.FindContainer(pod, c.Name) == nil {
				continue
			}
			at = metav1.NewTime(st.At.AsTime())
			p.Containers = append(p.Containers, stats.ContainerStats{
				Name: c.Name, StartTime: metav1.NewTime(c.StartedAt.AsTime()),
				CPU:    &stats.CPUStats{Time: at, UsageCoreNanoSeconds: &st.CpuUsageNanoseconds},
				Memory: &stats.MemoryStats{Time: at, UsageBytes: &st.MemoryUsageBytes, WorkingSetBytes: &st.MemoryWorkingSetBytes, RSSBytes: &st.MemoryRssBytes},
				Rootfs: &stats.FsStats{Time: at, UsedBytes: &st.WritableLayerBytes},
			})
			cpu += st.CpuUsageNanoseconds
			working += st.MemoryWorkingSetBytes
			usage += st.MemoryUsageBytes
		}
		if len(p.Containers) == 0 {
			continue
		}
		slices.SortFunc(p.Containers, func(a, b stats.ContainerStats) int { return cmp.Compare(a.Name, b.Name) })
		p.CPU = &stats.CPUStats{Time: at, UsageCoreNanoSeconds: &cpu}
		p.Memory = &stats.MemoryStats{Time: at, UsageBytes: &usage, WorkingSetBytes: &working}
		out = append(out, p)
	}
	return out
}
