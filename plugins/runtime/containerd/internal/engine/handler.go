package engine

import (
	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/typeurl/v2"

	"github.com/pintle-io/pintle/sdk/errs"
)

// handler returns what runs the containers of a RuntimeClass; the empty name
// is the default.
func (e *Engine) handler(name string) (containers.RuntimeInfo, error) {
	info := containers.RuntimeInfo{Name: e.config.Runtime}
	if name == "" {
		return info, nil
	}
	h, ok := e.config.Handlers[name]
	if !ok {
		return info, errs.InvalidArgument("runtime_handler: there is no handler %q on this node", name).
			WithReason("UnknownHandler").WithHint("name it in the handlers of the runtime plugin's configuration")
	}
	if h.Runtime != "" {
		info.Name = h.Runtime
	}
	if h.Binary == "" {
		return info, nil
	}
	options, err := typeurl.MarshalAny(&runcoptions.Options{BinaryName: h.Binary})
	if err != nil {
		return info, errs.Internal("encode the options of handler %s: %w", name, err)
	}
	info.Options = options
	return info, nil
}
