// Package engine implements the runtime contract on containerd.
//
// # What is where
//
// containerd keeps images, and a record for each container (the OCI
// specification, the snapshot, and in an extension what the contract tells of a
// container). The task of a container that has ended stays until the container
// is removed or its sandbox stopped, so that its exit status survives the
// plugin. The files of the plugin are few:
//
//	<run>/sandboxes/<id>/       sandbox.json, pinned namespaces, /dev/shm
//	<run>/containers/<id>/      FIFOs, started.json
//	<run>/output.lock           held by the process that reads the FIFOs
//	<state>/exits/<id>.json     how a container ended
//
// The engine answers lists from memory: it is the only user of its containerd
// namespace, does every change itself and learns of the rest from containerd's
// events. Memory is rebuilt when it starts and checked against containerd each
// time that the stream of events was interrupted.
//
// # Locks
//
// Verbs on one sandbox or container are serialized by its ID; nothing else
// waits for a call to containerd or the kernel. The mutexes of the table and of
// its entries guard fields and are never held over such a call.
//
// # Goroutines and buffers
//
//	watch          one, reads containerd's events; ends with Close
//	keep           one for each container whose output is read
//	ended          one for each container that just ended, while its last output
//	               is read; at most one a container
//	feed           1024 events for each caller of Events; full: that caller is
//	               ended and lists again
//	output         see package output
package engine
