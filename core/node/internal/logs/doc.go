// Package logs reads, follows and rotates the logs of containers.
//
// The runtime plugin appends to one file a container, in the CRI line format:
//
//	2026-01-02T15:04:05.123456789Z stdout F a whole line
//	2026-01-02T15:04:05.123456789Z stdout P a part of one
//
// The node agent owns the files. A file over the limit is renamed to
// <name>.<time> and the runtime told to open a new one; a few old parts are
// kept. A reader goes through the old parts and the current file as one log,
// and one that follows goes on in the new file after a rotation.
package logs
