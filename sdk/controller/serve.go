package controller

import (
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/controller/stream"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// Serve runs a controller as a plugin. It does not return.
func Serve(info plugin.Info, spec Spec, r Reconciler) {
	c, err := Contract(spec, r)
	if err != nil {
		fmt.Fprintf(os.Stderr, "controller %s: %v\n", info.Name, err)
		os.Exit(1)
	}
	plugin.Serve(info, c)
}

// Contract makes the plugin contract of a controller. The error says what is
// wrong with the spec.
func Contract(spec Spec, r Reconciler) (plugin.Contract, error) {
	p, err := compile(spec, r)
	if err != nil {
		return nil, fmt.Errorf("controller's spec: %w", err)
	}
	return contract{plan: p, reconciler: r}, nil
}

type contract struct {
	plan       *plan
	reconciler Reconciler
}

func (contract) Type() pluginv1.PluginType { return pluginv1.PluginType_PLUGIN_TYPE_CONTROLLER }

func (c contract) Register(r grpc.ServiceRegistrar) { stream.Register(r, c.handler(time.Now)) }

func (c contract) Describe(d *pluginv1.DescribeResponse) { d.Loop = c.plan.describe() }

func (c contract) Implementation() any { return c.reconciler }

func (c contract) handler(now func() time.Time) func(stream.Sender) stream.Handler {
	return func(out stream.Sender) stream.Handler { return newSession(c.plan, c.reconciler, now, out) }
}

// InProcess runs a controller inside this process, over the same stream as a
// plugin. now is the view's clock; nil for the time of day.
func InProcess(spec Spec, r Reconciler, now func() time.Time) (*pluginv1.LoopSpec, stream.Opener, error) {
	p, err := compile(spec, r)
	if err != nil {
		return nil, nil, fmt.Errorf("controller's spec: %w", err)
	}
	if now == nil {
		now = time.Now
	}
	handler := contract{plan: p, reconciler: r}.handler(now)
	return p.describe(), stream.InProcess(func(s stream.ServerStream) error { return stream.Serve(s, handler) }), nil
}
