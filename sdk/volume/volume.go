package volume

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

// Volume gives pods volumes of one type on one node.
//
// # Vocabulary
//
// A volume belongs to one pod on one node and lives as long as that pod. Its ID
// is unique on the node and never used again. The target is a directory that
// the node agent made for this volume alone. The path is what containers get
// bind-mounted: the target, something below it or, where the data lies
// elsewhere on the node anyway (hostPath), another place.
//
// # Lifecycle
//
// The node agent calls Mount before it starts the pod's first container and
// again whenever it is not sure that the volume works: after its own restart,
// after the plugin's, after an error. It calls Unmount once the pod's last
// container has ended, until that succeeds, and removes the target afterwards.
// Either process may be killed at any instant; the next call finds whatever is
// there and goes on from it.
//
// # Rules
//
//   - Both verbs are idempotent, and calls for different volumes may come at
//     the same time. Calls for one volume never do.
//   - Mount returns by its context's deadline even where a server is dead.
//   - After Unmount nothing of the volume is left: no mount, no process, no file
//     outside the volume's own data. Data that is the pod's alone is deleted.
//   - Unmount of what was never mounted succeeds, and never needs the server.
//
// # Errors
//
// InvalidArgument: the source is wrong. NotFound: what it names is not there.
// FailedPrecondition: what is there is of the wrong type, or the machine lacks
// something. PermissionDenied: the server refuses. Unavailable: try again. The
// message goes to the pod's events, so it names the server, path or field.
//
// Optional: [UsageReporter], and plugin.Configurer, plugin.HealthChecker and
// io.Closer as for every plugin.
type Volume interface {
	Mount(ctx context.Context, req *MountRequest) (*MountResponse, error)
	Unmount(ctx context.Context, req *UnmountRequest) (*UnmountResponse, error)
}

// UsageReporter is a Volume that knows how full its volumes are: the
// capability "usage".
type UsageReporter interface {
	Usage(ctx context.Context, req *UsageRequest) (*UsageResponse, error)
}

// CapabilityUsage is reported for a UsageReporter.
const CapabilityUsage = "usage"

// The messages of the contract; their fields are described in volume.proto.
type (
	MountRequest    = pluginv1.MountVolumeRequest
	MountResponse   = pluginv1.MountVolumeResponse
	UnmountRequest  = pluginv1.UnmountVolumeRequest
	UnmountResponse = pluginv1.UnmountVolumeResponse
	UsageRequest    = pluginv1.VolumeUsageRequest
	UsageResponse   = pluginv1.VolumeUsageResponse
)

// DecodeSource reads the volume source of a request, such as a
// corev1.NFSVolumeSource or the author's own struct. A field that into does not
// know is an InvalidArgument error: what is written in a pod is never passed
// over in silence.
func DecodeSource(req *MountRequest, into any) error {
	if len(req.GetSource()) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(req.GetSource()))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return errs.InvalidArgument("reading the source of volume %q: %v", req.GetVolumeName(), err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errs.InvalidArgument("reading the source of volume %q: more than one JSON value", req.GetVolumeName())
	}
	return nil
}
