// Package housekeeping holds the loops that keep the store itself in order.
// They decide nothing that an operator might want to swap; they are controllers
// like any other, on the same runner and the same stream, inside the core.
//
//	owners      garbage collection by ownerReferences (background, foreground,
//	            orphan) and the content of namespaces that are being deleted
//	nodes       nodes that fell silent, their taints, the pods that don't
//	            tolerate those, and pods of nodes that are gone
//	pods        ended pods above a number
//	accounts    a ServiceAccount "default" in every namespace
//	events      events older than an hour
//	tokens      bootstrap tokens that ran out
package housekeeping
