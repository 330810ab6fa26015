// Command runtime-containerd is the runtime plugin that runs containers with
// containerd 1.6 or later, the system's or one that it starts itself.
//
// Its configuration is described by its schema: runtime-containerd --describe.
//
// # What it leaves running
//
// Containers outlive the plugin, and so do the containerd that it started, where
// it did, and a small process that keeps the output of containers (its command
// line is "runtime-containerd keep-fifos", see internal/keeper). Everything is
// taken back by
//
//	runtime-containerd leave STATE_DIR RUN_DIR [CONFIG_FILE]
//
// with the directories that the plugin was given as state_dir and run_dir: it
// removes containers, images, mounts, namespaces and cgroups, stops a containerd
// of its own, and empties the directories. No plugin may be running then.
//
// # Pods without a pause container
//
// The plugin makes a pod's network, IPC and UTS namespaces itself and pins them
// by bind mounts (internal/namespaces); containers join them by path. A process
// namespace lives only as long as its first process, so for a pod whose
// containers share one (shareProcessNamespace) the plugin runs a holder: a
// container of one page of code that reaps what is orphaned, without a file
// system, capabilities or a way to do anything else.
package main
