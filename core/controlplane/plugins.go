package controlplane

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/auth"
	pintlev1 "github.com/pintle-io/pintle/sdk/api/v1"
)

// DefaultPlugins are what a new cluster begins with. From then on they are the
// operator's: one that was changed or deleted is left so.
func DefaultPlugins() []*pintlev1.Plugin {
	plugin := func(name string, t pintlev1.PluginType, of string) *pintlev1.Plugin {
		return &pintlev1.Plugin{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: pintlev1.PluginSpec{Type: t, Name: of}}
	}
	return []*pintlev1.Plugin{
		plugin("scheduler", pintlev1.SchedulerPlugin, "spread"),
		plugin("replication", pintlev1.ControllerPlugin, "replication"),
		plugin("endpoints", pintlev1.ControllerPlugin, "endpoints"),
		plugin("runtime", pintlev1.RuntimePlugin, "containerd"),
		plugin("network", pintlev1.NetworkPlugin, "cni"),
		plugin("proxy", pintlev1.ProxyPlugin, "iptables"),
		plugin("emptydir", pintlev1.VolumePlugin, "emptydir"),
		plugin("hostpath", pintlev1.VolumePlugin, "hostpath"),
		plugin("nfs", pintlev1.VolumePlugin, "nfs"),
	}
}

// pluginResource is where Plugin objects are served.
var pluginResource = schema.GroupResource{Group: pintlev1.GroupVersion.Group, Resource: "plugins"}

// API is what EnsurePlugins needs of core/api.
type API interface {
	List(ctx context.Context, t api.Target, opts api.ListOptions) (*api.List, error)
	Create(ctx context.Context, t api.Target, obj runtime.Object, opts api.CreateOptions) (runtime.Object, error)
}

// EnsurePlugins makes the given plugins in a cluster that has none.
func EnsurePlugins(ctx context.Context, service API, plugins []*pintlev1.Plugin) error {
	ctx = auth.WithUser(ctx, auth.System("bootstrap"))
	target := api.Target{Resource: pluginResource}
	there, err := service.List(ctx, target, api.ListOptions{Limit: 1})
	if err != nil {
		return fmt.Errorf("looking for plugins: %w", err)
	}
	if len(there.Items) > 0 {
		return nil
	}
	for _, p := range plugins {
		if _, err := service.Create(ctx, target, p, api.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("making the plugin %s: %w", p.Name, err)
		}
	}
	return nil
}
