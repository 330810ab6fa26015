package conformance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// Target is the plugin under test as a check sees it.
type Target struct {
	// Options are those of the run.
	Options Options

	dir         string
	description *pluginv1.DescribeResponse
	// site is set for networks and proxies where the options allow it.
	site *site

	mu      sync.Mutex
	running *Process // configured and shared by checks; nil until needed
}

// Dir returns a new empty directory, removed after the run.
func (t *Target) Dir() (string, error) { return os.MkdirTemp(t.dir, "d") }

// Description returns what the plugin says of itself.
func (t *Target) Description() *pluginv1.DescribeResponse { return t.description }

// Has reports whether the plugin claims a capability.
func (t *Target) Has(capability string) bool {
	return slices.Contains(t.description.GetCapabilities(), capability)
}

// Launch starts a process of its own for a check that wants to break it. It is
// not configured; the check ends it with Kill or Stop.
func (t *Target) Launch(ctx context.Context) (*Process, error) {
	return launch(ctx, t.Options, t.dir)
}

// Configure gives a process the configuration of the options.
func (t *Target) Configure(ctx context.Context, p *Process) error {
	req, err := t.configureRequest()
	if err != nil {
		return err
	}
	if _, err := p.Plugin().Configure(ctx, req); err != nil {
		return fmt.Errorf("Configure with the configuration of the options: %w", err)
	}
	return nil
}

// configureRequest fills in the node's directories where the options leave
// them out.
func (t *Target) configureRequest() (*pluginv1.ConfigureRequest, error) {
	req := &pluginv1.ConfigureRequest{Config: t.Options.Config}
	if t.description.GetType() == pluginv1.PluginType_PLUGIN_TYPE_SCHEDULER {
		req.SchedulerName = t.schedulerName()
	}
	if !ofNode(t.description.GetType()) {
		return req, nil
	}
	node := &pluginv1.NodeInfo{Name: "conformance"}
	if t.site != nil {
		node = proto.CloneOf(t.site.node)
	} else if t.Options.Node != nil {
		node = proto.CloneOf(t.Options.Node)
	}
	for _, dir := range []struct {
		name string
		path *string
	}{{"state", &node.StateDir}, {"run", &node.RunDir}} {
		if *dir.path != "" {
			continue
		}
		// The same for every process of a run: a plugin finds its own again.
		*dir.path = filepath.Join(t.dir, dir.name)
		if err := os.MkdirAll(*dir.path, 0o700); err != nil {
			return nil, err
		}
	}
	req.Node = node
	return req, nil
}

// ofNode reports whether plugins of a type run on nodes.
func ofNode(t pluginv1.PluginType) bool {
	switch t {
	case pluginv1.PluginType_PLUGIN_TYPE_RUNTIME, pluginv1.PluginType_PLUGIN_TYPE_VOLUME,
		pluginv1.PluginType_PLUGIN_TYPE_NETWORK, pluginv1.PluginType_PLUGIN_TYPE_PROXY:
		return true
	}
	return false
}

// onNetwork reports whether plugins of a type change the node's network.
func onNetwork(t pluginv1.PluginType) bool {
	return t == pluginv1.PluginType_PLUGIN_TYPE_NETWORK || t == pluginv1.PluginType_PLUGIN_TYPE_PROXY
}

// Process returns the shared process, configured. Where the last check killed
// it, a new one is started.
func (t *Target) Process(ctx context.Context) (*Process, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running != nil {
		select {
		case <-t.running.Exited():
			t.running.Kill()
			t.running = nil
		default:
			return t.running, nil
		}
	}
	p, err := t.Launch(ctx)
	if err != nil {
		return nil, err
	}
	if err := t.Configure(ctx, p); err != nil {
		p.Kill()
		return nil, err
	}
	t.running = p
	return p, nil
}

// Conn returns the connection to the shared process.
func (t *Target) Conn(ctx context.Context) (grpc.ClientConnInterface, error) {
	p, err := t.Process(ctx)
	if err != nil {
		return nil, err
	}
	return p.Conn(), nil
}

// Crash kills the shared process as kill -9 does, and waits until it is gone.
// The next Process or Conn starts another.
func (t *Target) Crash(ctx context.Context) error {
	p, err := t.Process(ctx)
	if err != nil {
		return err
	}
	p.Kill()
	select {
	case <-p.Exited():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop ends the shared process.
func (t *Target) stop() {
	if t.site != nil {
		defer t.site.remove()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running != nil {
		_ = t.running.Stop()
		t.running = nil
	}
}
