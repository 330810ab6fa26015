// Package plugin turns a Go value into a Pintle plugin: an executable that the
// core starts, checks, configures and watches.
//
// An author rarely imports more than the package of a contract (sdk/volume,
// sdk/runtime, ...), whose Serve ends here:
//
//	func main() {
//		volume.Serve(plugin.Info{Name: "nfs", Version: "1.0.0"}, &driver{})
//	}
//
// Serve does what is the same for every plugin: the go-plugin handshake with
// mutual TLS, the service Plugin (describe, configure, health), error classes,
// the log, and a clean end together with the host.
//
// # Lifecycle
//
// The host starts the process, reads the handshake line from its standard
// output, then calls Describe, Configure once, and only then the calls of the
// type; the SDK refuses those before Configure succeeded. The process ends when
// the host says so, when the host asks by SIGTERM, and when the host dies, even
// by kill -9: an inherited pipe tells. Where the author's type is an io.Closer,
// it is closed first and has CloseTimeout for it; a plugin must also stand
// being killed without that.
//
// # Optional powers
//
// A type may implement Configurer, HealthChecker and io.Closer beside its
// contract. Without Configurer a configuration that is not empty is refused.
//
// # Logging
//
// Use log/slog. Serve points slog's default logger at the host, which writes
// the lines to its own log with the plugin's name. The standard output belongs
// to the handshake; what a plugin prints there later is logged by the host as
// well. A flood is cut off by the host, which says how many lines it dropped.
//
// # Versions
//
// There is one version, ProtocolVersion, the major of pintle.plugin.v1. Within
// it contracts only grow: a field or call that one side does not know is left
// empty or answered with errs.ClassUnimplemented.
package plugin
