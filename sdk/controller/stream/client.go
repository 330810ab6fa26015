package stream

import (
	"context"

	"google.golang.org/grpc"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// NewClient opens streams to the loop that is served behind a connection.
func NewClient(conn grpc.ClientConnInterface) Opener {
	return client{pluginv1.NewLoopClient(conn)}
}

type client struct{ loop pluginv1.LoopClient }

func (c client) Open(ctx context.Context) (Session, error) { return c.loop.Run(ctx) }
