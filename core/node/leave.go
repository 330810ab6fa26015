package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/pintle-io/pintle/core/node/internal/volumes"
	"github.com/pintle-io/pintle/sdk/network"
	"github.com/pintle-io/pintle/sdk/runtime"
)

// LeaveOptions say what a machine has to give back.
type LeaveOptions struct {
	Plugins Plugins
	// RootDir is the agent's own directory.
	RootDir string
	// CgroupRoot is as in Options.
	CgroupRoot string
	Logger     *slog.Logger
}

// removals bounds the sandboxes that are removed at the same time.
const removals = 16

// Leave ends every pod on this machine and takes back what plugins made for
// them: containers, volumes, addresses, rules. No agent may run. It does all
// that it can, and then says what it could not.
func Leave(ctx context.Context, o LeaveOptions) error {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	err := removeSandboxes(ctx, o)
	if plugin, missing := o.Plugins.Network(); missing == nil {
		if _, failed := plugin.Leave(ctx, &network.LeaveRequest{}); failed != nil {
			err = errors.Join(err, fmt.Errorf("taking back the pods' network: %w", failed))
		}
	}
	if plugin, missing := o.Plugins.Proxy(); missing == nil {
		if failed := plugin.Leave(ctx); failed != nil {
			err = errors.Join(err, fmt.Errorf("taking back the rules of services: %w", failed))
		}
	}
	if o.CgroupRoot == "" {
		o.CgroupRoot = defaultCgroupRoot
	}
	return errors.Join(err, unmountVolumes(ctx, o), removeCgroups(o.CgroupRoot))
}

func removeSandboxes(ctx context.Context, o LeaveOptions) error {
	plugin, err := o.Plugins.Runtime()
	if err != nil {
		return nil // Where no runtime was ever started there is no sandbox.
	}
	list, err := plugin.ListSandboxes(ctx, &runtime.ListSandboxesRequest{})
	if err != nil {
		return fmt.Errorf("listing the pods: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(removals)
	for _, s := range list.GetSandboxes() {
		group.Go(func() error {
			if _, err := plugin.RemoveSandbox(ctx, &runtime.RemoveSandboxRequest{SandboxId: s.GetId()}); err != nil {
				return fmt.Errorf("removing the sandbox of pod %s/%s: %w", s.GetPod().GetNamespace(), s.GetPod().GetName(), err)
			}
			return nil
		})
	}
	return group.Wait()
}

func unmountVolumes(ctx context.Context, o LeaveOptions) error {
	m := volumes.New(volumes.Options{PodsDir: filepath.Join(o.RootDir, "pods"), Plugins: o.Plugins, Log: o.Logger})
	pods, err := m.PodDirs()
	if err != nil {
		return fmt.Errorf("listing the pods' volumes: %w", err)
	}
	for _, uid := range pods {
		if failed := m.Unmount(ctx, uid); failed != nil {
			err = errors.Join(err, fmt.Errorf("taking back the volumes of pod %s: %w", uid, failed))
			continue
		}
		err = errors.Join(err, m.RemovePodDir(uid))
	}
	return err
}
