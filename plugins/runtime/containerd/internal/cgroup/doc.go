// Package cgroup makes, reads and removes the cgroups of pods, on machines with
// cgroup v1, v2 or both (hybrid: the controllers are v1's).
//
// Paths are those of the contract: absolute, below the root of the hierarchy.
package cgroup
