package network

import (
	"context"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// Network gives the network namespaces of one node's pods their addresses and
// keeps the node's routes.
//
// # Vocabulary
//
// A sandbox is what the containers of one pod share; its ID is never used
// again, its network namespace is a file that the runtime pinned. The node's
// pod ranges are the CIDRs that its pods get addresses from, the cluster ranges
// are those of all nodes.
//
// # Lifecycle
//
// Configure (plugin.Configurer) tells the node's name, addresses and ranges.
// SetRoutes follows at once and whenever a node comes, goes or changes; a node
// that has no pod range at Configure gets one there. Attach is called before
// the first container of a sandbox starts, Detach after the last one ended.
// Prune is called once after each start of the node agent, before the first
// Attach: whatever an unlisted sandbox holds is nobody's, also what an Attach
// left that was interrupted. Leave is called when the machine stops being a
// node; a process that left is not used again.
//
// # Rules
//
//   - Pods reach each other, on one node and across nodes, at their own
//     addresses, without translation.
//   - From the end of Configure to Leave, a packet to an address in the cluster
//     ranges that nobody holds is rejected on the node at once, and none leaves
//     by the default route.
//   - Every verb is idempotent: Attach for an attached sandbox answers the same
//     addresses, Detach of an unknown one succeeds, also where the namespace is
//     gone already.
//   - Addresses, routes and host ports stay in force while the plugin is away.
//   - A plugin that is killed in the middle of a call loses nothing: the same
//     call succeeds again.
//   - A node that can't be reached is named in the answer of SetRoutes, with the
//     reason, and holds up no others.
//   - Calls for different sandboxes may come at the same time.
//
// # Errors
//
// ResourceExhausted: the range is used up. AlreadyExists: a host port is taken.
// NotFound: the namespace of an Attach is not there. FailedPrecondition: the
// machine lacks something; the message says what to install.
type Network interface {
	Attach(ctx context.Context, req *AttachRequest) (*AttachResponse, error)
	Detach(ctx context.Context, req *DetachRequest) (*DetachResponse, error)
	Prune(ctx context.Context, req *PruneRequest) (*PruneResponse, error)
	SetRoutes(ctx context.Context, req *SetRoutesRequest) (*SetRoutesResponse, error)
	Leave(ctx context.Context, req *LeaveRequest) (*LeaveResponse, error)
}

// The messages of the contract; their fields are described in network.proto.
type (
	AttachRequest     = pluginv1.AttachNetworkRequest
	AttachResponse    = pluginv1.AttachNetworkResponse
	DetachRequest     = pluginv1.DetachNetworkRequest
	DetachResponse    = pluginv1.DetachNetworkResponse
	PruneRequest      = pluginv1.PruneNetworkRequest
	PruneResponse     = pluginv1.PruneNetworkResponse
	SetRoutesRequest  = pluginv1.SetRoutesRequest
	SetRoutesResponse = pluginv1.SetRoutesResponse
	LeaveRequest      = pluginv1.LeaveNetworkRequest
	LeaveResponse     = pluginv1.LeaveNetworkResponse
	PortMapping       = pluginv1.PortMapping
	NodeRoute         = pluginv1.NodeRoute
	NodeInfo          = pluginv1.NodeInfo
)
