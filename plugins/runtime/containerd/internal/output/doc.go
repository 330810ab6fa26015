// Package output carries what containers write: from FIFOs, which the shim of
// containerd holds open, to log files in the CRI line format and to whoever
// attached.
//
// Nothing is lost when the plugin dies. A pump copies a FIFO's content without
// taking it out (tee(2)), writes it to the log, and only then takes it out; what
// it never holds is a half line in memory: the end of a read that is no end of
// a line is written as a partial line at once. So whatever instant the plugin
// is killed at, what a container wrote is in its log or still in the FIFO. At
// the worst one read, up to 64 KiB, that was logged and not yet taken out is
// logged again.
//
// # Goroutines and buffers
//
//	pump      one a stream of a running container; ends at the stream's end
//	FIFO      64 KiB in the kernel; full: the container waits in write(2)
//	pump      96 KiB and a pipe of 64 KiB in the kernel
//	attached  256 KiB each; full: the one who attached is cut off
package output
