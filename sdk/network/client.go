package network

import (
	"context"

	"google.golang.org/grpc"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// Client is the core's side of the wire: gRPC to Go.
type Client struct{ rpc pluginv1.NetworkClient }

var _ Network = (*Client)(nil)

// NewClient speaks to the plugin at the other end of conn.
func NewClient(conn grpc.ClientConnInterface) *Client {
	return &Client{rpc: pluginv1.NewNetworkClient(conn)}
}

func (c *Client) Attach(ctx context.Context, req *AttachRequest) (*AttachResponse, error) {
	return c.rpc.Attach(ctx, req)
}

func (c *Client) Detach(ctx context.Context, req *DetachRequest) (*DetachResponse, error) {
	return c.rpc.Detach(ctx, req)
}

func (c *Client) Prune(ctx context.Context, req *PruneRequest) (*PruneResponse, error) {
	return c.rpc.Prune(ctx, req)
}

func (c *Client) SetRoutes(ctx context.Context, req *SetRoutesRequest) (*SetRoutesResponse, error) {
	return c.rpc.SetRoutes(ctx, req)
}

func (c *Client) Leave(ctx context.Context, req *LeaveRequest) (*LeaveResponse, error) {
	return c.rpc.Leave(ctx, req)
}
