// Package images brings images to the node before containers need them, and
// takes them away when the disk fills up.
//
// Ensure follows the pull policy, waits with pulls that failed before (10 s,
// doubling to 5 minutes, per pod and image), shares one pull among all who want
// the same image with the same credentials, and runs a few at a time. Collect
// removes images that no container uses, the longest unused ones first, from a
// high mark of disk use down to a low one.
package images
