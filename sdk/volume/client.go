package volume

import (
	"context"

	"google.golang.org/grpc"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// Client is the core's side of the wire: gRPC to Go. It has every optional
// method; one that the plugin lacks answers Unimplemented.
type Client struct{ rpc pluginv1.VolumeClient }

var (
	_ Volume        = (*Client)(nil)
	_ UsageReporter = (*Client)(nil)
)

// NewClient speaks to the plugin at the other end of conn.
func NewClient(conn grpc.ClientConnInterface) *Client {
	return &Client{rpc: pluginv1.NewVolumeClient(conn)}
}

func (c *Client) Mount(ctx context.Context, req *MountRequest) (*MountResponse, error) {
	return c.rpc.Mount(ctx, req)
}

func (c *Client) Unmount(ctx context.Context, req *UnmountRequest) (*UnmountResponse, error) {
	return c.rpc.Unmount(ctx, req)
}

func (c *Client) Usage(ctx context.Context, req *UsageRequest) (*UsageResponse, error) {
	return c.rpc.Usage(ctx, req)
}
