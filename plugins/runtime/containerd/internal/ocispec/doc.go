// Package ocispec turns a container of the contract into the specification that
// an OCI runtime executes: https://github.com/opencontainers/runtime-spec.
//
// Defaults are those of containerd's CRI plugin and docker: the default
// capabilities, the default seccomp profile, masked and read-only paths.
package ocispec
