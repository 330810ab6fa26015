// Package admit decides whether a pod that was bound to this node can run on
// it. A scheduler has checked the same; this is for binds that raced, for pods
// bound by hand and for nodes that changed. A refused pod fails with the reason
// that Kubernetes gives.
package admit
