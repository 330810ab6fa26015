// Package proxy is the contract of service proxies: how the addresses of
// services reach their endpoints on one node.
//
// An author implements [Proxy] and calls [Serve]; what the methods promise is
// said at the interface.
package proxy
