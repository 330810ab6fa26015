// Package discovery answers what a server serves: the lists of versions,
// groups and resources in their classic form and in the aggregated one, made
// once from the registered kinds.
package discovery
