package plugins

import (
	"context"
	"errors"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/network"
	"github.com/pintle-io/pintle/sdk/proxy"
	"github.com/pintle-io/pintle/sdk/runtime"
	"github.com/pintle-io/pintle/sdk/volume"
)

// Lookup finds the plugins that run on this node now. Where one is missing or
// just being restarted the error is of class Unavailable, FailedPrecondition or
// PluginGone and says which and why.
type Lookup interface {
	Runtime() (runtime.Runtime, error)
	// Volume finds the plugin of a volume type, such as "nfs", or of a CSI
	// driver name. NotFound: no such plugin is installed.
	Volume(name string) (volume.Volume, error)
	Network() (network.Network, error)
	Proxy() (Proxy, error)
	// Subscribe calls changed, which must not block, after a plugin came, went
	// or was swapped.
	Subscribe(changed func()) (unsubscribe func())
}

// Proxy is the core's side of a proxy plugin.
type Proxy interface {
	Sync(ctx context.Context) (proxy.Stream, error)
	Leave(ctx context.Context) error
}

var _ Proxy = (*proxy.Client)(nil)

// Transient says whether an operation that failed is worth repeating soon: its
// plugin is away or was interrupted.
func Transient(err error) bool {
	switch errs.ClassOf(err) {
	case errs.ClassPluginGone, errs.ClassUnavailable, errs.ClassCanceled:
		return true
	}
	return errors.Is(err, context.Canceled)
}
