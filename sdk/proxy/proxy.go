package proxy

import (
	"context"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// Proxy makes the addresses of services reach their endpoints on one node.
//
// It is handed states, not events: the SDK keeps the whole state from the
// stream's changes, merges what arrives while a Sync is under way, and calls
// Sync with what differs. One Sync is under way at a time.
//
// # Rules
//
//   - Sync makes exactly the given state so. Called again with the same state it
//     changes nothing.
//   - A connection to a service address and port goes to one of its ready
//     endpoints; where there is none ready, to those that still serve while
//     ending; where there is none at all, it is rejected at once.
//   - An address of the service ranges that no service holds is rejected on the
//     node at once and never leaves by the default route.
//   - Rules stay in force while the plugin is away, and its successor takes them
//     over without a gap.
//   - Leave removes every rule that the plugin made, and nothing else.
//
// A service that can't be served is reported in the result, with words for an
// operator; the others are in force all the same. An error of Sync itself means
// that the whole state is tried again.
type Proxy interface {
	Sync(ctx context.Context, state *State) (*Result, error)
	Leave(ctx context.Context) error
}

// Verifier is optional: a proxy whose rules others can take away, as those in
// packet filters that a machine has for all, finds out here.
type Verifier interface {
	// Verify reports whether what Sync put in force is there. It is called
	// every few seconds between Syncs and should be cheap. Where it says no,
	// Sync follows with All set.
	Verify(ctx context.Context) (intact bool, err error)
}

// State is everything that the node's proxy has to know.
type State struct {
	// Revision grows with every state.
	Revision uint64
	// Services by "namespace/name". The map and what it holds are the SDK's and
	// must not be changed.
	Services map[string]*Service
	// Changed names the services that were set or removed since the last Sync
	// that succeeded; All says that nothing is known of what was there before.
	Changed []string
	All     bool
}

// Result of a Sync.
type Result struct {
	// Errors by "namespace/name".
	Errors map[string]string
}

// The messages of the contract; their fields are described in proxy.proto.
type (
	Service       = pluginv1.ProxyService
	Port          = pluginv1.ProxyPort
	Endpoint      = pluginv1.ProxyEndpoint
	TrafficPolicy = pluginv1.TrafficPolicy
)

// The traffic policies.
const (
	TrafficPolicyCluster = pluginv1.TrafficPolicy_TRAFFIC_POLICY_CLUSTER
	TrafficPolicyLocal   = pluginv1.TrafficPolicy_TRAFFIC_POLICY_LOCAL
)
