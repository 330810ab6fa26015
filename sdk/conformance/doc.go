// Package conformance checks any executable, in any language, against the
// contract of its type, over the real handshake and the real wire.
//
// A Check has an id, the sentence of the contract that it enforces, and a
// function that tries it. Run starts the executable, asks what it is, and runs
// the checks that every plugin must pass followed by those of its type. The
// outcome is data, a Report, which prints as text, JSON or JUnit; Test turns it
// into subtests of go test:
//
//	func TestConformance(t *testing.T) {
//		conformance.Test(t, conformance.Options{Executable: built, Config: config})
//	}
//
// A check that does not apply, because the plugin does not claim a capability
// or the options lack what it needs, is skipped and says why: return Skip(...).
// A check must leave nothing behind, and may kill the plugin: the next one gets
// a new process by itself.
//
// The checks of networks and proxies change links, routes and packet rules: they
// run where Options.OwnNetwork says that the process is in a network namespace
// of its own, with iproute2 and as root, and make machines and pods of further
// namespaces around it.
//
// # Adding the checks of a type
//
// One file a type holds a function that returns them, and Checks has a case for
// it. What the checks need from outside, such as an export to mount, is a field
// of Options with a type of its own, defined in that file.
package conformance
