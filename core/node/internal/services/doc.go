// Package services keeps the node's proxy plugin told of all services with
// their endpoints.
//
// The feed opens one stream, sends the whole state, and from then on what
// changed: while a request is not yet acknowledged, changes gather and go out
// together with the next one, so that a slow proxy gets fewer and bigger
// requests and never a queue. When the plugin went away, the next stream begins
// with the whole state again.
package services
