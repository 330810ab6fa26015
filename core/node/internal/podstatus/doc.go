// Package podstatus derives the status of a pod from what is known of it: its
// containers in the runtime, its addresses, its probes and what keeps its
// containers waiting.
//
// Generate is a pure function. The rules for phases and conditions are those
// that Kubernetes documents under "Pod Lifecycle".
package podstatus
