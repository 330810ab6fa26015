package stream

import (
	"google.golang.org/grpc"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// Register registers the Loop service, which makes a handler for each stream.
func Register(r grpc.ServiceRegistrar, newHandler func(Sender) Handler) {
	pluginv1.RegisterLoopServer(r, server{newHandler: newHandler})
}

type server struct {
	pluginv1.UnimplementedLoopServer
	newHandler func(Sender) Handler
}

func (s server) Run(g grpc.BidiStreamingServer[pluginv1.Observation, pluginv1.Decision]) error {
	return Serve(g, s.newHandler)
}
