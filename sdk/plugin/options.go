package plugin

import (
	"google.golang.org/grpc"

	"github.com/pintle-io/pintle/sdk/errs"
)

// dialOptions are the host's: message limits, error classes, and no idle
// timeout, because the host removes the socket's name once it is connected and
// could not come back.
func dialOptions() []grpc.DialOption {
	return append(errs.DialOptions(),
		grpc.WithIdleTimeout(0),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(MaxMessageSize),
			grpc.MaxCallSendMsgSize(MaxMessageSize),
		),
	)
}

// serverOptions are the plugin's. The gate stands inside the error
// interceptors, so that its refusals are converted too.
func serverOptions(gate *service) []grpc.ServerOption {
	return append(errs.ServerOptions(),
		grpc.ChainUnaryInterceptor(gate.unary),
		grpc.ChainStreamInterceptor(gate.stream),
		grpc.MaxRecvMsgSize(MaxMessageSize),
		grpc.MaxSendMsgSize(MaxMessageSize),
	)
}
