// Package auth says who a client is and what it may do.
//
// Who: a client certificate that the cluster's own Authority signed carries the
// user (common name) and its groups (organizations), as in Kubernetes. The
// Authority is made at the first start and lives in one directory. A machine
// that wants to become a node has a Token instead: it proves itself with it
// once, checks the server against the fingerprint that is part of the token,
// and gets its certificates (Join).
//
// What: an Authorizer answers for every request that reaches core/api. The
// built-in one knows administrators, nodes (each limited to itself and to what
// its pods need), and plugins (limited to the permissions of their Plugin
// object). It reads nothing itself: it asks a Directory.
package auth
