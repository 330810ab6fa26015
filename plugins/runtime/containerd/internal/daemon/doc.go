// Package daemon finds the containerd that the plugin works with, or starts one
// of its own.
//
// The rule, in this order: the address of the configuration; a containerd that
// the plugin started before, which is started again where it has stopped, since
// the containers and images are there; the system's, where it answers; one of
// its own, where containerd is installed.
//
// A containerd of our own has its root below the plugin's state directory and
// its state, socket and configuration below its run directory. It is started in
// a session of its own and outlives the plugin as the system's would: it is
// found again by its socket, and stopped only by Stop.
package daemon
