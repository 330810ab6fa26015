// Package pluginv1 is the Go form of the plugin contracts, generated from the
// .proto files beside it, whose comments are the contract. Plugin authors who
// write Go use the packages under sdk, which build on this one.
package pluginv1
