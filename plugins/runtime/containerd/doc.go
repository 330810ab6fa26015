// Command runtime-containerd is the runtime plugin that runs containers with
// containerd.
package main
