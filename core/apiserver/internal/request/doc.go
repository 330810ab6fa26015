// Package request tells what a request is about from its method, path and
// query alone: which resource, which object, which verb. It follows the rules
// of Kubernetes' RequestInfo, so that authorization rules and clients written
// for Kubernetes mean the same here.
package request
