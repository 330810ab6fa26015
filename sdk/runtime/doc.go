// Package runtime is the contract of a runtime plugin: what keeps images and
// runs containers on one node.
//
// A runtime that implements [Runtime] becomes a plugin with one call:
//
//	func main() {
//		runtime.Serve(plugin.Info{Name: "example", Version: "1.0.0"}, newExample())
//	}
//
// [NewClient] is the mirror: the same interface over a connection to a plugin.
// [Contract] is what [Serve] serves, for a program that wants to serve it by
// itself.
//
// # Vocabulary
//
// An image is a file system with a configuration. It has one ID, the digest of
// its configuration ("sha256:…"), and any number of names (tags) and digests
// that lead to it. The runtime normalizes names as docker does: "nginx" is
// "docker.io/library/nginx:latest".
//
// A sandbox is what the containers of one pod share: the network, IPC and UTS
// namespaces, on request a process namespace, a parent cgroup with the pod's
// limits and a /dev/shm. It is not a process and costs none.
//
// A container is one run of one image in a sandbox. It is never started twice:
// a restart is a new container with a new ID and the next attempt.
//
// # Life of a sandbox
//
//	CreateSandbox ──▶ READY ──StopSandbox──▶ STOPPED ──RemoveSandbox──▶ gone
//
// A sandbox whose namespaces are gone (the machine was restarted) is STOPPED;
// it never becomes READY again. RemoveSandbox stops it first where needed and
// takes its containers along.
//
// # Life of a container
//
//	CreateContainer ──▶ CREATED ──StartContainer──▶ RUNNING ──▶ EXITED
//	                       └────────(can't start)────────────────▶ EXITED
//
// An exited container keeps its exit code, times, reason and message until
// RemoveContainer. The reasons are those of Kubernetes: Completed (exit code
// 0), Error (any other), OOMKilled (the kernel ended it for memory), StartError
// (the runtime failed to start it), ContainerCannotRun (the command does not
// exist or can't be executed). A container that ended while it wasn't watched
// and whose exit code nobody can know is EXITED with code 255, reason Error and
// a message that says so; UNKNOWN is for one that may still run.
//
// # Identity and idempotency
//
// The caller chooses the IDs of sandboxes and containers and never uses one
// again. An ID matches [A-Za-z0-9]+([._-][A-Za-z0-9]+)* and has at most 72
// characters. Every call may be repeated, also after the plugin died in the
// middle of it: asking for what is so already succeeds, and a repeated create
// returns what is there. Creating under a taken ID with a different sandbox,
// name or attempt is AlreadyExists. Stop and Remove of what does not exist
// succeed.
//
// # What outlives the plugin
//
// The plugin may be killed at any instant and started again, also by a newer
// version of itself that starts while the old one still runs. Containers keep
// their processes and process IDs. The new process finds every sandbox and
// container again, with exit codes and times of what ended in between, and
// whatever a container wrote in between is in its log.
//
// # Output
//
// Output goes to CreateContainerRequest.log_path in the CRI line format,
// appended and never rewritten:
//
//	2026-01-02T15:04:05.123456789Z stdout F a whole line
//	2026-01-02T15:04:05.123456789Z stdout P the first part of a line
//	2026-01-02T15:04:05.123456789Z stdout F , its end
//
// The directory is the caller's and exists. The caller rotates by renaming the
// file and calling ReopenLog; the runtime then writes to a new file at the
// path. A container is never killed because its output can't be written; it is
// held up (as a process that writes to a full pipe) or its output is dropped,
// and the plugin's log says so.
//
// # Errors
//
//	NotFound            an image, sandbox or container that the call needs is not there
//	AlreadyExists       the ID is taken by something else
//	InvalidArgument     the request can't be honoured on any machine, or the command
//	                    of the container can't be executed
//	FailedPrecondition  the state is wrong: the container doesn't run, the image is used
//	PermissionDenied    a registry wants other credentials
//	Unavailable         the daemon below or a registry is out of reach; repeat
//	Unimplemented       this runtime does not offer it
//
// A field that this runtime can't honour is an error that names the field,
// never silence.
//
// # Who owns what
//
// The runtime owns images, namespaces, the cgroups at and below cgroup_parent,
// and whatever lies in its state and run directory. The caller owns log
// directories, mounts' sources, and the addresses inside the network namespace.
package runtime
