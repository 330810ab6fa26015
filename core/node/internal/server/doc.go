// Package server is the node's HTTPS endpoint, which the API server proxies to:
// logs, exec, attach and port forwarding of pods, the node's images, its pods
// and statistics.
//
// The paths and parameters are the kubelet's. Every request needs a client
// certificate of the cluster's authority, of the API server or an
// administrator. Streams are SPDY or WebSocket (up to v4.channel.k8s.io; the
// API server translates v5). HTTP/2 is off, since both of these upgrade an
// HTTP/1.1 connection.
package server
