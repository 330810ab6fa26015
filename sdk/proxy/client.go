package proxy

import (
	"context"

	"google.golang.org/grpc"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// The messages of the stream, for the core's side.
type (
	SyncRequest  = pluginv1.SyncProxyRequest
	SyncResponse = pluginv1.SyncProxyResponse
)

// Client is the core's side of the wire: gRPC to Go.
type Client struct{ rpc pluginv1.ProxyClient }

// NewClient speaks to the plugin at the other end of conn.
func NewClient(conn grpc.ClientConnInterface) *Client {
	return &Client{rpc: pluginv1.NewProxyClient(conn)}
}

// Stream sends state and receives acknowledgements; Send and Recv may be used
// by two goroutines, one each.
type Stream interface {
	Send(*SyncRequest) error
	Recv() (*SyncResponse, error)
	CloseSend() error
}

// Sync opens the stream. The first request must have Full set. The stream ends
// with ctx.
func (c *Client) Sync(ctx context.Context) (Stream, error) { return c.rpc.Sync(ctx) }

// Leave removes every rule that the plugin made.
func (c *Client) Leave(ctx context.Context) error {
	_, err := c.rpc.Leave(ctx, &pluginv1.LeaveProxyRequest{})
	return err
}
