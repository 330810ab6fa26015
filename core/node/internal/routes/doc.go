// Package routes keeps the network plugin told of all nodes: which addresses
// lead to which pods.
package routes
