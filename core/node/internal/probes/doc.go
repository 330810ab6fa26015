// Package probes asks the containers of a pod how they are: startup, liveness
// and readiness, over HTTP, TCP, gRPC or by a command.
//
// A probe changes its verdict after failureThreshold failures or
// successThreshold successes in a row. Liveness and readiness wait for startup.
// What a verdict leads to (a restart, an endpoint that goes) is not decided
// here: Set reports verdicts and says when one changed.
//
// A probe that could not be made because the node itself was at fault (the
// runtime plugin is away) counts neither way.
//
// Goroutines: one for each probe of a running container; it ends with the
// container or with Stop.
package probes
