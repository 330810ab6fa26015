// Package keeper keeps the FIFOs of containers open while the plugin is not
// there, so that the last output of a container that ends meanwhile is not lost:
// a FIFO that nobody has open forgets its content, and the shim closes it when
// the container ends. (The input of a container the shim keeps open itself.)
//
// The keeper is one small process a node, the plugin's own executable in another
// role, in a session of its own. It starts with the first container, and ends by
// itself when it keeps nothing and no plugin is connected. It never reads.
//
// Its protocol must not change, since a plugin may meet the keeper of an older
// or newer version: a line "keep <id>" or "drop <id>" on a unix socket, answered
// by a line "ok" or "error <text>". Both may be repeated.
package keeper
