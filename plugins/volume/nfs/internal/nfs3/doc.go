// Package nfs3 is a client of the network file system, version 3: the
// procedures of RFC 1813, those of its mount protocol, and the port mapper that
// tells where a server offers them.
//
// A [Client] is one export that was mounted. Each of its methods is one
// procedure, called on behalf of a credential. They wait for a server that is
// away until their context ends.
package nfs3
