// volume-nfs gives a pod a directory of an NFS server: {server, path, readOnly}.
//
// # Which client
//
// Where the kernel has a client of NFS (/proc/filesystems, or a module that can
// be loaded) and mount.nfs is installed, the volume is an ordinary NFS mount.
// Elsewhere the plugin speaks NFS version 3 itself and shows the files over
// FUSE; what that client does and does not is said in internal/nfsfuse.
//
// # The process that serves a mount
//
// A FUSE file system is as alive as the process that serves it, and a container
// keeps the mount that it was given, so that a new mount at the same place
// would not reach it. Therefore each volume has a process of its own, this
// executable run as "volume-nfs mount", in a session of its own: neither the
// end of the plugin nor that of its host touches it. (A service manager that
// ends every process of a service must be told not to: systemd's
// KillMode=process.) The plugin finds it again by the lock that it holds:
//
//	<target>/mount   where the export is mounted; containers get this
//	<target>/lock    locked by the process for its life
//	<target>/log     what it has to say, at most logLimit bytes
//
// Unmount ends the process and removes all three. A process that died leaves a
// mount that answers ENOTCONN; the next Mount replaces it, for containers that
// start afterwards.
//
// # A server that is away
//
// Mount asks the server before it says yes, and gives up before its deadline.
// Processes with files of a server that went away wait for it. Unmount needs no
// server: it detaches the mount, and where the process does not end by itself
// it is killed, which ends every request that waits.
package main

import (
	"os"

	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/volume"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == mountCommand {
		os.Exit(serveMount(os.Args[2:]))
	}
	volume.Serve(plugin.Info{Name: "nfs", Version: "1.0.0"}, nfs{})
}
