package host

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/pintle-io/pintle/sdk/errs"
)

// instanceConn is the connection of an instance. Where a call fails because the
// process is gone, its error says so and why, instead of what gRPC happened to
// notice first.
type instanceConn struct {
	*grpc.ClientConn
	instance *Instance
}

func (c *instanceConn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return c.explain(ctx, c.ClientConn.Invoke(ctx, method, args, reply, opts...))
}

func (c *instanceConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := c.ClientConn.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	return &instanceStream{ClientStream: stream, conn: c}, nil
}

// explain makes an error of a connection that broke, or that the host closed,
// errs.ClassPluginGone.
func (c *instanceConn) explain(ctx context.Context, err error) error {
	switch errs.ClassOf(err) {
	case errs.ClassPluginGone:
	case errs.ClassCanceled:
		// gRPC reports calls on a connection that was closed under them as
		// canceled, although the caller did not cancel.
		if ctx.Err() != nil || !c.instance.ending() && c.instance.Err() == nil {
			return err
		}
	default:
		return err
	}
	id := c.instance.spec.ID()
	if why := c.instance.Err(); why != nil {
		return errs.PluginGone("plugin %s is gone: %w", id, why)
	}
	if c.instance.ending() {
		return errs.PluginGone("plugin %s is being stopped", id)
	}
	return errs.New(errs.ClassPluginGone, "", "", fmt.Errorf("plugin %s is gone: %w", id, err))
}

type instanceStream struct {
	grpc.ClientStream
	conn *instanceConn
}

func (s *instanceStream) Header() (metadata.MD, error) {
	md, err := s.ClientStream.Header()
	return md, s.conn.explain(s.Context(), err)
}

func (s *instanceStream) SendMsg(m any) error {
	return s.conn.explain(s.Context(), s.ClientStream.SendMsg(m))
}

func (s *instanceStream) RecvMsg(m any) error {
	return s.conn.explain(s.Context(), s.ClientStream.RecvMsg(m))
}

func (s *instanceStream) CloseSend() error {
	return s.conn.explain(s.Context(), s.ClientStream.CloseSend())
}
