// Package network is the contract of network plugins: how the network
// namespaces of pods get addresses, and a node its routes to other nodes' pods.
//
// An author implements [Network] and calls [Serve]; what the methods promise is
// said at the interface.
package network
