// Package nodestatus keeps the node's own objects in the API: it registers the
// node, reports what it is, has and lacks, and renews its lease.
//
// The status is measured every 10 seconds and whenever something asks for it
// (a plugin came or went). It is written when it changed, and otherwise every
// five minutes; the lease, which is cheap, says every 10 seconds that the node
// is alive.
package nodestatus
