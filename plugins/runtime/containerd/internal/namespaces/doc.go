// Package namespaces makes kernel namespaces that live without a process: each
// is pinned by a bind mount of its file in /proc, and is gone when that mount
// is. The containers of a pod join them by path.
package namespaces
