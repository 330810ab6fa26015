// Package volume is the contract of volume types: how a pod gets a directory
// or a file of one type on one node.
//
// An author implements [Volume], two methods, and calls [Serve]. What the
// methods promise is said at the interface; whether a plugin keeps the promise
// is what the conformance suite in sdk/conformance tries out.
//
//	func main() { volume.Serve(plugin.Info{Name: "sshfs", Version: "1.0.0"}, &sshfs{}) }
package volume
