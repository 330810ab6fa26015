// Package atomicdir writes a set of files into a directory so that a reader
// sees either all of the old ones or all of the new ones.
//
// The layout is the one that Kubernetes promises for ConfigMap, Secret,
// downward API and projected volumes, and that programs watch for changes:
//
//	dir/key          -> ..data/key
//	dir/..data       -> ..2026_01_02_15_04_05.123456789
//	dir/..2026_…/key the content
//
// An update writes a new timestamped directory, renames a new ..data symlink
// over the old one, and removes what is no longer needed. A crash at any point
// leaves the old or the new content; the next Write clears the rest away.
package atomicdir
