package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

const (
	// ProtocolVersion is the one version that host and plugin agree on: the
	// major of pintle.plugin.v1.
	ProtocolVersion = 1

	// MaxMessageSize bounds one gRPC message in either direction, in bytes.
	// It leaves room for the largest snapshot batch and image chunk, and is
	// enforced on both sides.
	MaxMessageSize = 64 << 20

	// CloseTimeout is how long an io.Closer has when the plugin ends.
	CloseTimeout = 5 * time.Second

	// EnvHostFD names the environment variable that holds the number of an
	// inherited file descriptor: the reading end of a pipe on which the host
	// never writes. End of file there means that the host is gone, and that
	// the plugin must exit.
	EnvHostFD = "PINTLE_HOST_FD"

	// EnvExecutable names the environment variable that holds the path that the
	// host was given. The host executes by descriptor, so a script sees
	// /proc/self/fd/N as its own name.
	EnvExecutable = "PINTLE_EXECUTABLE"

	// EnvLogLevel names the environment variable with the least severe level
	// that the host wants to see: debug, info, warn or error.
	EnvLogLevel = "PINTLE_LOG_LEVEL"

	cookieKey   = "PINTLE_PLUGIN"
	cookieValue = "pintle.plugin"

	envSocketDir = goplugin.EnvUnixSocketDir

	// pluginKey is the name of the one entry in go-plugin's plugin set.
	pluginKey = "pintle"
)

// Handshake returns what both sides of the go-plugin handshake must agree on.
// The cookie is no secret: it tells an executable that a host started it.
func Handshake() goplugin.HandshakeConfig {
	return goplugin.HandshakeConfig{
		ProtocolVersion:  ProtocolVersion,
		MagicCookieKey:   cookieKey,
		MagicCookieValue: cookieValue,
	}
}

// wire is the go-plugin entry: it registers services on the plugin's side and
// hands out the bare connection on the host's.
type wire struct {
	goplugin.NetRPCUnsupportedPlugin
	register func(*grpc.Server)
}

func (w wire) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	if w.register == nil {
		return errors.New("this side of the plugin does not serve")
	}
	w.register(s)
	return nil
}

func (w wire) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}

// pluginSets returns the plugin sets by protocol version.
func pluginSets(register func(*grpc.Server)) map[int]goplugin.PluginSet {
	return map[int]goplugin.PluginSet{
		ProtocolVersion: {pluginKey: wire{register: register}},
	}
}

// ClientConfig returns what a host gives go-plugin's NewClient, before it adds
// how to start the process. Mutual TLS is offered to the plugin; Connect gets
// by without where the plugin does not take the offer.
func ClientConfig() *goplugin.ClientConfig {
	return &goplugin.ClientConfig{
		HandshakeConfig:  Handshake(),
		VersionedPlugins: pluginSets(nil),
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		GRPCDialOptions:  dialOptions(),
	}
}

// Connect starts the client's process, does the handshake and returns the
// connection, and whether it is under mutual TLS. Config is the very value
// that the client was made with.
//
// With AutoMTLS go-plugin puts a certificate into the plugin's environment and
// expects the plugin's own in the handshake line; a plugin that was not
// written with go-plugin's Go SDK sends none. The connection then goes without
// TLS, protected by the socket's private directory alone.
func Connect(client *goplugin.Client, config *goplugin.ClientConfig) (conn *grpc.ClientConn, mutualTLS bool, err error) {
	if _, err := client.Start(); err != nil {
		return nil, false, err
	}
	if config.TLSConfig != nil && config.TLSConfig.RootCAs == nil {
		config.TLSConfig = nil
	}
	protocol, err := client.Client()
	if err != nil {
		return nil, false, fmt.Errorf("connect to the plugin: %w", err)
	}
	raw, err := protocol.Dispense(pluginKey)
	if err != nil {
		return nil, false, fmt.Errorf("connect to the plugin: %w", err)
	}
	conn, ok := raw.(*grpc.ClientConn)
	if !ok {
		return nil, false, fmt.Errorf("connect to the plugin: go-plugin returned a %T instead of a connection", raw)
	}
	return conn, config.TLSConfig != nil, nil
}
