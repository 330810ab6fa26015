// Package objects gives the node the config maps and secrets that its pods
// refer to, and only those.
//
// An object is read when a pod first asks for it and then watched by its name
// for as long as a pod refers to it; a client certificate of a node may read
// nothing else. Where watching is not allowed or breaks, the object is read
// again after a while instead.
//
// Goroutines: one for each object that is referred to.
package objects
