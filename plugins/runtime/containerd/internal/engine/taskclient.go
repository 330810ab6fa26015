package engine

import (
	"context"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"google.golang.org/grpc"
)

// call makes one call of containerd's task service, whose errors are raw gRPC
// statuses: the client library only converts those of its other services.
func call[Req, Resp any](ctx context.Context, rpc func(context.Context, *Req, ...grpc.CallOption) (*Resp, error), req *Req) (*Resp, error) {
	resp, err := rpc(ctx, req)
	return resp, errgrpc.ToNative(err)
}

func (e *Engine) tasksClient() tasksapi.TasksClient { return e.client.TaskService() }
