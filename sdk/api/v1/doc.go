// +k8s:deepcopy-gen=package
// +groupName=pintle.io

// Package v1 is the API group pintle.io/v1: the kinds that are Pintle's own.
//
// A Plugin is the whole interface of an operator to a plugin: what to run,
// with which configuration, and in its status what became of it.
package v1
