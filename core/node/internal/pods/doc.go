// Package pods runs pods: one worker a pod brings what the runtime has to what
// the pod asks for, and the pod's status to the API.
//
// # How a worker works
//
// A worker is level-triggered. Whatever happens (the pod changed, a container
// ended, a probe has a verdict, a task ended, a time has come) only wakes it;
// it then looks at everything and decides. A decision never blocks. Whatever
// takes time is a task of its own goroutine, of which there is at most one by
// each key ("volumes", "sandbox", "start/<container>", "kill/<container>", …),
// and whose result is applied by the worker when it is woken by it. So a dead
// volume server, a slow registry or a container that does not want to stop
// holds up nothing but itself.
//
// The order for a pod: volumes and sandbox with its network side by side, then
// init containers one after the other (sidecars among them stay), then the
// containers. A pod that ends, for whatever reason, goes the other way:
// containers with their grace, network and sandbox, volumes; and, where it was
// deleted, its containers, logs and directory, and last its object in the API.
//
// # What is remembered
//
// Nothing that is not in the runtime's labels and annotations, in the pod's
// directory or in the API. A worker that begins after a restart of the node
// agent finds running containers and leaves them running; one for a pod that
// the API does not know (or not any more) takes it down.
//
// # Bounds
//
// One goroutine a pod, at most a few tasks each; starts of containers share a
// fixed number of slots on the node. Wake-ups coalesce.
package pods
