package plugin

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"k8s.io/apimachinery/pkg/util/validation"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// Info is what an author says of a plugin.
type Info struct {
	// Name within the type, a DNS label: "nfs", "binpack".
	Name string
	// Version of the plugin itself, as its author counts.
	Version string
	// ConfigSchema is the JSON Schema of the configuration, or nil.
	ConfigSchema []byte
	// Permissions are what the decisions of a scheduler or controller may do.
	Permissions []*pluginv1.Permission
}

// Contract is a type of plugin together with an implementation of it. The
// packages of the contracts make one; nobody else needs to.
type Contract interface {
	// Type says which contract this is.
	Type() pluginv1.PluginType
	// Register registers the gRPC service of the type.
	Register(grpc.ServiceRegistrar)
	// Describe fills in what follows from the implementation: capabilities,
	// and the loop of a scheduler or controller.
	Describe(*pluginv1.DescribeResponse)
	// Implementation returns the author's value, which may be a Configurer, a
	// HealthChecker and an io.Closer.
	Implementation() any
}

// ConfigureRequest holds the operator's configuration and, for a plugin of a
// node, the node.
type ConfigureRequest = pluginv1.ConfigureRequest

// Configurer is implemented by a plugin that wants its configuration or its
// node. Configure is called before any call of the type and succeeds at most
// once; after an error it may be called again.
//
//	InvalidArgument     the configuration is wrong; the message says where
//	FailedPrecondition  the machine lacks something; the message says what
type Configurer interface {
	Configure(ctx context.Context, req *ConfigureRequest) error
}

// HealthChecker is implemented by a plugin that can tell whether it is able to
// do its work now. Health answers within a second and does not wait for
// others; its error is shown to the operator. A plugin whose Health hangs is
// restarted, one that returns an error is reported as unhealthy.
type HealthChecker interface {
	Health(ctx context.Context) error
}

// TypeName returns the name of a type as operators write it: "volume".
// An unknown type gets its number: "type(42)".
func TypeName(t pluginv1.PluginType) string {
	switch t {
	case pluginv1.PluginType_PLUGIN_TYPE_SCHEDULER:
		return "scheduler"
	case pluginv1.PluginType_PLUGIN_TYPE_CONTROLLER:
		return "controller"
	case pluginv1.PluginType_PLUGIN_TYPE_RUNTIME:
		return "runtime"
	case pluginv1.PluginType_PLUGIN_TYPE_VOLUME:
		return "volume"
	case pluginv1.PluginType_PLUGIN_TYPE_NETWORK:
		return "network"
	case pluginv1.PluginType_PLUGIN_TYPE_PROXY:
		return "proxy"
	case pluginv1.PluginType_PLUGIN_TYPE_UNSPECIFIED:
		return "unspecified"
	}
	return fmt.Sprintf("type(%d)", int32(t))
}

// ParseType is the inverse of TypeName for the types that exist.
func ParseType(name string) (pluginv1.PluginType, error) {
	for n := range pluginv1.PluginType_name {
		t := pluginv1.PluginType(n)
		if t != pluginv1.PluginType_PLUGIN_TYPE_UNSPECIFIED && TypeName(t) == name {
			return t, nil
		}
	}
	return 0, fmt.Errorf("%q is no type of plugin: use scheduler, controller, runtime, volume, network or proxy", name)
}

// describe returns the answer to Describe.
func describe(info Info, c Contract) *pluginv1.DescribeResponse {
	d := &pluginv1.DescribeResponse{
		Type:         c.Type(),
		Name:         info.Name,
		Version:      info.Version,
		ConfigSchema: info.ConfigSchema,
		Permissions:  info.Permissions,
	}
	c.Describe(d)
	return d
}

// CheckName says what is wrong with a plugin's name, which is a DNS label.
func CheckName(name string) error {
	if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
		return fmt.Errorf("plugin name %q is no DNS label: %s", name, strings.Join(problems, "; "))
	}
	return nil
}
