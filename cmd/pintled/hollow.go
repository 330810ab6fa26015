package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/pintle-io/pintle/core/host"
	"github.com/pintle-io/pintle/core/host/manager"
	"github.com/pintle-io/pintle/core/node"
	"github.com/pintle-io/pintle/core/node/hosted"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// hollowPlugin is the runtime of hollow nodes.
const hollowPlugin = "hollow"

// runHollow simulates nodes until ctx ends. The user of the configuration must
// be allowed to act for all of them.
func runHollow(ctx context.Context, count int, api *rest.Config, p *paths, plugins *host.Host, log *slog.Logger) error {
	info := &pluginv1.NodeInfo{
		Name: hollowPlugin, StateDir: p.nodePlugins("runtime-" + hollowPlugin),
		RunDir: filepath.Join(p.run, "node", "runtime-"+hollowPlugin),
	}
	if err := errors.Join(os.MkdirAll(info.StateDir, 0o700), os.MkdirAll(info.RunDir, 0o700)); err != nil {
		return err
	}
	instance, err := plugins.Start(ctx, host.Spec{
		Type: pluginv1.PluginType_PLUGIN_TYPE_RUNTIME, Name: hollowPlugin, Node: info,
		Executable: filepath.Join(p.plugins, "runtime-"+hollowPlugin),
	})
	if err != nil {
		return err
	}
	found := hosted.New()
	found.OnChange(manager.Change{
		Type: pluginv1.PluginType_PLUGIN_TYPE_RUNTIME, Name: hollowPlugin, Instance: instance, Release: func() {},
	})
	hollow, err := node.NewHollow(node.HollowOptions{RestConfig: api, Plugins: found, Count: count, Version: version, Logger: log, Labels: map[string]string{"hollow": "yes"}})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return hollow.Run(ctx) })
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-instance.Done():
			return fmt.Errorf("the runtime of the hollow nodes ended: %w", instance.Err())
		}
	})
	return endOf(group)
}

// hollowAgent is "pintled agent --hollow".
func hollowAgent(ctx context.Context, count int, kubeconfig string, p *paths, plugins *host.Host, log *slog.Logger) error {
	api, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("--kubeconfig: %w", err)
	}
	return runHollow(ctx, count, api, p, plugins, log)
}
