// Package podspec translates a pod into what the runtime is asked for: names
// and labels, environment, resources, security, host names and DNS.
//
// Everything here is a function of its arguments. What comes from elsewhere
// (config maps, secrets, services, the node) is handed in by the caller, so
// that the rules can be tested as tables. The rules are those of the kubelet,
// as the Kubernetes API reference documents them for each field.
package podspec
