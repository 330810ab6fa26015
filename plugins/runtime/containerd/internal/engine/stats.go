package engine

import (
	"context"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/typeurl/v2"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/cgroup"
)

var (
	_ runtime.Execer        = (*Engine)(nil)
	_ runtime.Attacher      = (*Engine)(nil)
	_ runtime.StatsReporter = (*Engine)(nil)
	_ runtime.Updater       = (*Engine)(nil)
)

// Stats implements runtime.StatsReporter. The cgroup files are read here: a
// call to each shim costs many times as much.
func (e *Engine) Stats(ctx context.Context, req *runtime.StatsRequest) (*runtime.StatsResponse, error) {
	resp := &runtime.StatsResponse{}
	for _, c := range e.table.containersOf(req.GetSandboxId()) {
		if (req.GetContainerId() != "" && c.id != req.GetContainerId()) || c.state() != pluginv1.Container_STATE_RUNNING {
			continue
		}
		usage := cgroup.Read(c.rec.CgroupPath)
		stats := &runtime.ContainerStats{
			ContainerId: c.id, SandboxId: c.rec.SandboxID, At: timestamppb.Now(),
			CpuUsageNanoseconds: usage.CPUNanoseconds,
			MemoryUsageBytes:    usage.MemoryBytes, MemoryWorkingSetBytes: usage.WorkingSetBytes, MemoryRssBytes: usage.RSSBytes,
			Pids: usage.Pids,
		}
		disk, err := e.snapshots().Usage(ctx, c.rec.SnapshotKey)
		if err == nil {
			stats.WritableLayerBytes = uint64(max(disk.Size, 0))
		} else if ctx.Err() != nil {
			return nil, classify(err, "stats")
		}
		resp.Stats = append(resp.Stats, stats)
	}
	return resp, nil
}

// UpdateContainer implements runtime.Updater.
func (e *Engine) UpdateContainer(ctx context.Context, req *runtime.UpdateContainerRequest) (*runtime.UpdateContainerResponse, error) {
	c := e.table.container(req.GetContainerId())
	if c == nil {
		return nil, errs.NotFound("update container: there is no container %s", req.GetContainerId())
	}
	if c.state() != pluginv1.Container_STATE_RUNNING {
		return nil, errs.FailedPrecondition("update container %s (%s): it does not run", c.id, c.snapshot().GetName())
	}
	resources, err := typeurl.MarshalAny(cgroup.Resources(req.GetResources()))
	if err != nil {
		return nil, errs.Internal("update container %s: %w", c.id, err)
	}
	_, err = call(ctx, e.tasksClient().Update, &tasksapi.UpdateTaskRequest{
		ContainerID: c.id, Resources: &anypb.Any{TypeUrl: resources.GetTypeUrl(), Value: resources.GetValue()},
	})
	if err != nil {
		return nil, classify(err, "update container %s (%s)", c.id, c.snapshot().GetName())
	}
	return &runtime.UpdateContainerResponse{}, nil
}
