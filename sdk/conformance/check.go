package conformance

import (
	"context"
	"errors"
	"fmt"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// Check enforces one sentence of a contract.
type Check struct {
	// ID is stable and names type, call and rule: "volume.mount.twice".
	ID string
	// Sentence is the rule in the words of the contract.
	Sentence string
	// Run tries it. nil means that the plugin passed, an error made by Skip
	// that the check does not apply, any other what the plugin did wrong.
	Run func(ctx context.Context, t *Target) error
}

// Checks returns the checks for a type: those for every plugin, then its own.
func Checks(t pluginv1.PluginType) []Check {
	return append(pluginChecks(), typeChecks(t)...)
}

// typeChecks returns the checks of a type alone.
func typeChecks(t pluginv1.PluginType) []Check {
	switch t {
	case pluginv1.PluginType_PLUGIN_TYPE_CONTROLLER:
		return controllerChecks()
	case pluginv1.PluginType_PLUGIN_TYPE_SCHEDULER:
		return schedulerChecks()
	case pluginv1.PluginType_PLUGIN_TYPE_RUNTIME:
		return runtimeChecks()
	case pluginv1.PluginType_PLUGIN_TYPE_VOLUME:
		return volumeChecks()
	case pluginv1.PluginType_PLUGIN_TYPE_NETWORK:
		return networkChecks()
	case pluginv1.PluginType_PLUGIN_TYPE_PROXY:
		return proxyChecks()
	default:
		return nil
	}
}

// skipped is the error that says that a check does not apply.
type skipped struct{ why string }

func (s *skipped) Error() string { return s.why }

// Skip returns the error by which a check says that it does not apply and why.
func Skip(format string, args ...any) error {
	return &skipped{why: fmt.Sprintf(format, args...)}
}

func skipReason(err error) (string, bool) {
	var s *skipped
	if errors.As(err, &s) {
		return s.why, true
	}
	return "", false
}
