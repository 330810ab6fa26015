package ocispec

import (
	"context"

	"github.com/containerd/containerd/v2/pkg/oci"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

const allAccess = "rwm"

// addDevices allows the devices that were asked for and no others (the runtime
// adds /dev/null and its like); a privileged container has all of the node's.
func addDevices(spec *specs.Spec, req *pluginv1.CreateContainerRequest) error {
	ctx := context.Background()
	if req.GetSecurity().GetPrivileged() {
		if err := oci.WithHostDevices(ctx, nil, nil, spec); err != nil {
			return errs.Internal("list the devices of this machine: %w", err)
		}
		spec.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: true, Access: allAccess}}
	} else {
		spec.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: false, Access: allAccess}}
	}
	for i, device := range req.GetDevices() {
		permissions := device.GetPermissions()
		if permissions == "" {
			permissions = allAccess
		}
		path := device.GetContainerPath()
		if path == "" {
			path = device.GetHostPath()
		}
		if err := oci.WithDevices(device.GetHostPath(), path, permissions)(ctx, nil, nil, spec); err != nil {
			return errs.FailedPrecondition("devices[%d]: %s: %w", i, device.GetHostPath(), err)
		}
	}
	return nil
}
