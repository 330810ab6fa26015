package images

import (
	"context"
	"fmt"
	"slices"
	"time"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

// Thresholds of disk use, in percent of the image store's disk.
type Thresholds struct {
	High, Low int
	// MinAge spares images that were only just pulled.
	MinAge time.Duration
}

// DefaultThresholds are those of Kubernetes.
func DefaultThresholds() Thresholds { return Thresholds{High: 85, Low: 80, MinAge: 2 * time.Minute} }

// Disk use in bytes.
type Disk struct{ Total, Available uint64 }

type use struct{ first, last time.Time }

// Collect removes unused images where the disk is fuller than the high mark,
// until it is down to the low one. It returns what could be freed at most. With
// all set it removes every unused image.
func (m *Manager) Collect(ctx context.Context, t Thresholds, disk Disk, used []*pluginv1.Container, all bool) (freed int64, err error) {
	rt, err := m.o.Plugins.Runtime()
	if err != nil {
		return 0, err
	}
	res, err := rt.ListImages(ctx, &pluginv1.ListImagesRequest{})
	if err != nil {
		return 0, fmt.Errorf("listing images to free disk space: %w", err)
	}
	candidates := m.candidates(res.Images, used)
	if disk.Total == 0 && !all {
		return 0, nil
	}
	want := int64(0)
	if !all {
		percent := 100 - int(disk.Available*100/max(disk.Total, 1))
		if percent < t.High {
			return 0, nil
		}
		want = int64(disk.Total)*int64(100-t.Low)/100 - int64(disk.Available)
		m.o.Log.Info("the disk of the image store is filling up, unused images are removed",
			"percent", percent, "high", t.High, "low", t.Low, "bytes", want)
	}
	now := m.o.Clock.Now()
	for _, c := range candidates {
		if !all && freed >= want {
			break
		}
		if !all && now.Sub(c.use.first) < t.MinAge {
			continue
		}
		if _, e := rt.RemoveImage(ctx, &pluginv1.RemoveImageRequest{Image: c.image.Id}); e != nil {
			// A container that was created in the meantime uses it.
			if !errs.Is(e, errs.ClassFailedPrecondition) {
				err = fmt.Errorf("removing image %s: %w", c.image.Id, e)
			}
			continue
		}
		freed += c.image.SizeBytes
	}
	if err == nil && !all && freed < want {
		err = errs.ResourceExhausted("unused images held only %d of the %d bytes that should be freed", freed, want)
	}
	return freed, err
}

type candidate struct {
	image *pluginv1.Image
	use   use
}

// candidates are the images that no container uses, the longest unused first.
func (m *Manager) candidates(images []*pluginv1.Image, containers []*pluginv1.Container) []candidate {
	inUse := map[string]struct{}{}
	for _, c := range containers {
		inUse[c.ImageId] = struct{}{}
		inUse[c.Image] = struct{}{}
	}
	now := m.o.Clock.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	have := map[string]struct{}{}
	var out []candidate
	for _, image := range images {
		have[image.Id] = struct{}{}
		u, ok := m.seen[image.Id]
		if !ok {
			u.first = now
		}
		busy := slices.ContainsFunc(append([]string{image.Id}, append(image.Tags, image.Digests...)...), func(name string) bool {
			_, ok := inUse[name]
			return ok
		})
		if busy {
			u.last = now
		}
		m.seen[image.Id] = u
		if !busy {
			out = append(out, candidate{image, u})
		}
	}
	for id := range m.seen {
		if _, ok := have[id]; !ok {
			delete(m.seen, id)
		}
	}
	slices.SortStableFunc(out, func(a, b candidate) int { return a.use.last.Compare(b.use.last) })
	return out
}
