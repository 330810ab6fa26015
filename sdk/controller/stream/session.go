package stream

import (
	"context"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// Session is the core's end of one open stream. Send is called from one
// goroutine at a time, Recv from another. Recv returns io.EOF once the plugin
// ended the stream in good order.
type Session interface {
	Send(*pluginv1.Observation) error
	Recv() (*pluginv1.Decision, error)
}

// Opener opens streams to one loop. A stream ends with its context.
type Opener interface {
	Open(ctx context.Context) (Session, error)
}

// ServerStream is the plugin's end of one stream.
type ServerStream interface {
	Send(*pluginv1.Decision) error
	Recv() (*pluginv1.Observation, error)
	Context() context.Context
}
