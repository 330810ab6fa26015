// Command runtime-hollow is the runtime plugin of simulated nodes: it runs
// nothing. Containers are RUNNING as soon as they are started, end when they
// are stopped and say so; images are whatever is asked for. One process can
// stand for the runtimes of a thousand nodes, which share it or have one each.
//
// It keeps everything in memory and nothing else: a restart of the plugin is a
// restart of the machine that it simulates, with every container gone. Hollow
// sandboxes have no network namespace, so that no addresses are asked of a
// network plugin; a node agent that wants addresses makes them up.
//
// A container can be told to end by itself, by annotations of its sandbox or of
// its own:
//
//	hollow.pintle.io/run-for    a duration such as "10s"; without it, for ever
//	hollow.pintle.io/exit-code  its exit code then; 0 by default
//
// It has no capabilities: no exec, attach, stats or update.
package main
