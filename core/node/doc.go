// Package node is the node agent: it turns the pods that are bound to this
// machine into running containers by calling the node's plugins.
//
// The agent owns what is the same for every runtime, network and volume type:
// ordering, restart policy and backoff, probes, hooks, termination, status,
// garbage collection, logs and streaming. It reaches the API through client-go
// alone, as any node on any machine does, and everything outside through
// plugins.
//
// A tour, by room:
//
//	agent.go                the parts and how they are wired
//	hollow.go               many nodes without containers, for simulations
//	internal/podspec        from a pod to what the runtime is asked for
//	internal/pods           one worker a pod: observe, decide, run tasks
//	internal/podstatus      phase and conditions, a pure function
//	internal/statuswriter   statuses to the API
//	internal/runtimeview    what the runtime has, kept by its events
//	internal/images         pulls, pull secrets, garbage collection
//	internal/volumes        volumes through plugins, views of the API by itself
//	internal/objects        config maps and secrets that pods refer to
//	internal/probes         startup, liveness, readiness
//	internal/services       services and endpoints to the proxy plugin
//	internal/routes         nodes to the network plugin
//	internal/nodestatus     registration, status, lease
//	internal/admit          whether a bound pod can run here
//	internal/eviction       what goes when memory or disk run short
//	internal/logs           the CRI log format: reading, following, rotating
//	internal/server         the HTTPS endpoint that the API server proxies to
//	internal/plugins        how the parts find the plugins
//	internal/events         what events are about
//	internal/nodetest       plugins in memory, for tests
//	internal/machine        what the machine has, from /proc and statfs
//
// Nothing is kept that can't be found again: killed at any instant and started
// again, the agent leaves running pods running and clears away what is no
// longer wanted.
package node
