package volume

import (
	"context"

	"google.golang.org/grpc"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// Serve runs the plugin until its host goes away. It does not return.
func Serve(info plugin.Info, v Volume) { plugin.Serve(info, Contract(v)) }

// Contract is the plugin's side of the wire: Go to gRPC.
func Contract(v Volume) plugin.Contract { return &server{volume: v} }

type server struct {
	pluginv1.UnimplementedVolumeServer
	volume Volume
}

func (s *server) Type() pluginv1.PluginType        { return pluginv1.PluginType_PLUGIN_TYPE_VOLUME }
func (s *server) Register(r grpc.ServiceRegistrar) { pluginv1.RegisterVolumeServer(r, s) }
func (s *server) Implementation() any              { return s.volume }

func (s *server) Describe(d *pluginv1.DescribeResponse) {
	if _, ok := s.volume.(UsageReporter); ok {
		d.Capabilities = append(d.Capabilities, CapabilityUsage)
	}
}

func (s *server) Mount(ctx context.Context, req *MountRequest) (*MountResponse, error) {
	if err := check(req.GetVolumeId(), req.GetTargetPath()); err != nil {
		return nil, err
	}
	return s.volume.Mount(ctx, req)
}

func (s *server) Unmount(ctx context.Context, req *UnmountRequest) (*UnmountResponse, error) {
	if err := check(req.GetVolumeId(), req.GetTargetPath()); err != nil {
		return nil, err
	}
	return s.volume.Unmount(ctx, req)
}

func (s *server) Usage(ctx context.Context, req *UsageRequest) (*UsageResponse, error) {
	u, ok := s.volume.(UsageReporter)
	if !ok {
		return nil, errs.Unimplemented("this volume type does not report usage")
	}
	if err := check(req.GetVolumeId(), req.GetTargetPath()); err != nil {
		return nil, err
	}
	return u.Usage(ctx, req)
}
