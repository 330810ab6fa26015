// Package host runs plugins: it starts an executable, makes sure that it is the
// right one, talks to it, watches it, restarts it and swaps it for another.
//
// A Host owns every plugin process of one pintled. Start makes an Instance, one
// process that was verified, described, configured and found healthy. Supervise
// keeps one running for good and is what everybody but tests uses.
//
// # Starting
//
// The executable is opened once. Its checksum is computed on that descriptor
// and the same descriptor is executed (/proc/self/fd/N), so a file that is
// swapped in between does not run. The process gets its own process group, a
// nearly empty environment, /dev/null as standard input and a private directory
// of mode 0700 for its socket. Handshake, Describe, Configure and Health each
// have a deadline; type and name must be the ones that were asked for. Once the
// connection stands, the socket's name is removed: nobody else can connect and
// nothing is left behind, however the host ends.
//
// # Ending
//
// Stop closes the host's pipe and sends SIGTERM; what is still there after the
// grace period is killed, with its whole process group, as is every straggler of
// a plugin that ended by itself. When the host dies by kill -9, the kernel kills
// the plugins (PR_SET_PDEATHSIG), and the pipe tells them too. The kernel binds
// that signal to the thread that started the process, so one thread per Host is
// set aside for starting. What a killed host could not clear away, processes in
// a plugin's group and sockets, the next one clears when it opens the same
// RunDir.
//
// # Watching
//
// A process that lives is no proof that a plugin works: Health is asked at an
// interval, and a plugin that does not answer several times in a row is killed
// and started again. Restarts back off exponentially with jitter up to a cap,
// and start over after a stable time. State says all of it.
//
// # Swapping
//
// Swap starts the new process beside the old one and checks it; only then it is
// the current one. The old one runs on until its users released it, so that
// their work can be drained. A new one that fails its checks never takes over;
// one that passes them and then fails again and again, before it proved stable,
// is replaced by the one before.
//
// # Goroutines and buffers
//
//	what                    owner        bound and rule when full
//	spawner thread          Host         one; starts processes one by one
//	reaper                  Instance     one per process, ends with it
//	stdout and stderr line  Instance     64 KiB buffer each; a longer line is
//	readers                              cut; lines over the rate are dropped
//	                                     and counted; bytes over the rate wait,
//	                                     which slows the plugin, not the host
//	last words              Instance     the last 20 lines, 512 bytes each
//	go-plugin's goroutines  Instance     a fixed handful, end with the process
//	supervisor loop         Supervisor   one; commands wait their turn
//	state callbacks         Supervisor   called in order by the loop; they must
//	                                     not block
package host
