package network

import (
	"context"

	"google.golang.org/grpc"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// Serve runs the plugin until its host goes away. It does not return.
func Serve(info plugin.Info, n Network) { plugin.Serve(info, Contract(n)) }

// Contract is the plugin's side of the wire: Go to gRPC.
func Contract(n Network) plugin.Contract { return &server{network: n} }

type server struct {
	pluginv1.UnimplementedNetworkServer
	network Network
}

func (s *server) Type() pluginv1.PluginType           { return pluginv1.PluginType_PLUGIN_TYPE_NETWORK }
func (s *server) Register(r grpc.ServiceRegistrar)    { pluginv1.RegisterNetworkServer(r, s) }
func (s *server) Implementation() any                 { return s.network }
func (s *server) Describe(*pluginv1.DescribeResponse) {}

func (s *server) Attach(ctx context.Context, req *AttachRequest) (*AttachResponse, error) {
	if req.GetSandboxId() == "" || req.GetNetworkNamespace() == "" {
		return nil, errs.InvalidArgument("sandbox_id and network_namespace are required")
	}
	return s.network.Attach(ctx, req)
}

func (s *server) Detach(ctx context.Context, req *DetachRequest) (*DetachResponse, error) {
	if req.GetSandboxId() == "" {
		return nil, errs.InvalidArgument("sandbox_id is required")
	}
	return s.network.Detach(ctx, req)
}

func (s *server) Prune(ctx context.Context, req *PruneRequest) (*PruneResponse, error) {
	return s.network.Prune(ctx, req)
}

func (s *server) SetRoutes(ctx context.Context, req *SetRoutesRequest) (*SetRoutesResponse, error) {
	return s.network.SetRoutes(ctx, req)
}

func (s *server) Leave(ctx context.Context, req *LeaveRequest) (*LeaveResponse, error) {
	return s.network.Leave(ctx, req)
}
