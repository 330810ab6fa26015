// Package manager runs the plugins that the cluster's Plugin objects ask for.
//
// One Manager runs on the server, for schedulers and controllers, and one on
// each node, for runtime, volume, network and proxy plugins. It watches the
// objects, keeps a host.Supervisor for each that is meant for it, swaps when an
// object's executable, checksum, configuration or node changes, stops what is
// disabled or deleted, and writes what became of it into the object's status
// and events: the server the whole status of its own types and a summary of the
// others, a node its line in status.nodes.
//
// # Which plugin
//
// Type and name identify a plugin here. Where two objects claim the same, the
// older one has it and the other one fails with a status that says so, until
// the older one goes. An executable is an absolute path, or a file name in
// PluginDir, "<type>-<name>" where the object names none.
//
// # What consumers see
//
// Supervisor and Default look a plugin up. OnChange tells of every instance
// that comes and goes, after first telling of those that are there. With a swap
// a Change carries the old instance as well; it runs until every listener called
// Release, or host.DrainTimeout.
//
// # Goroutines and queues
//
//	reflector       Run  one, client-go's
//	workers         Run  options.Workers; a plugin is handled by one at a time
//	status writers  Run  two; the queue holds each object's name at most once
//	listeners            called one at a time by supervisors; must not block
package manager
