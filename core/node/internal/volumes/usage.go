package volumes

import (
	"context"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/volume"
)

const usageTimeout = 10 * time.Second

// Usage of a volume that a plugin mounted.
func (m *Manager) Usage(ctx context.Context, pod *corev1.Pod, v *corev1.Volume) (*pluginv1.VolumeUsageResponse, error) {
	name, _, err := Source(v)
	if err != nil {
		return nil, err
	}
	plugin, err := m.o.Plugins.Volume(name)
	if err != nil {
		return nil, err
	}
	reporter, ok := plugin.(volume.UsageReporter)
	if !ok {
		return nil, errs.Unimplemented("volume plugin %q does not report usage", name)
	}
	ctx, cancel := context.WithTimeout(ctx, usageTimeout)
	defer cancel()
	return reporter.Usage(ctx, &pluginv1.VolumeUsageRequest{
		VolumeId: volumeID(pod.UID, v.Name), TargetPath: filepath.Join(m.PodDir(pod.UID), volumesDir, name, v.Name),
	})
}

// Overfull says, in Kubernetes' words, which emptyDir volume of the pod holds
// more than its limit; empty for none. In-memory ones are limited by the kernel.
func (m *Manager) Overfull(ctx context.Context, pod *corev1.Pod) string {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		e := v.EmptyDir
		if e == nil || e.SizeLimit == nil || e.SizeLimit.Sign() <= 0 || e.Medium == corev1.StorageMediumMemory {
			continue
		}
		u, err := m.Usage(ctx, pod, v)
		if err != nil {
			continue // not mounted yet, or its plugin is away
		}
		if u.UsedBytes > uint64(e.SizeLimit.Value()) {
			return "Usage of EmptyDir volume \"" + v.Name + "\" exceeds the limit \"" + e.SizeLimit.String() + "\". "
		}
	}
	return ""
}
