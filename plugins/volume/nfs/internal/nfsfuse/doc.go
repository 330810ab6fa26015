// Package nfsfuse makes an NFS export a file system of this machine, over FUSE.
//
// # Who checks permissions
//
// The server does, from the user, group and supplementary groups of the process
// that calls. The mount has allow_other, so that containers' users get to it,
// and not default_permissions: the modes that this machine sees say little
// where a server maps users (root_squash, all_squash) or has lists of its own.
// Opening a file asks the server with ACCESS; reads and writes go out under the
// credential of the process that opened.
//
// # What is cached
//
// Names and attributes for cacheTime. An open drops the attributes and pages of
// the file, so that who opens a file after another node closed it sees what was
// written: close-to-open, as nfs(5) describes it.
//
// Writes go to the server at once but unstable, and are kept here until a
// COMMIT: at close, at fsync, and when they are more than maxUncommitted bytes.
// A server that restarted in between gets them again.
//
// # A server that is away
//
// Processes wait, as with the kernel's hard mounts, until the server is back,
// and can be killed meanwhile. Only a close that has something to commit gives up,
// after closeTimeout, since a process that is being killed could not be
// interrupted there and would keep its pod from ending.
//
// # What there is not
//
// Locks are local to the mount (nolock in nfs(5)). There are no extended
// attributes. A file that is removed while it is open here gets a hidden name,
// .nfs…, until its last close.
package nfsfuse
