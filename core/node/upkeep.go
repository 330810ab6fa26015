package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pintle-io/pintle/core/node/internal/eviction"
	"github.com/pintle-io/pintle/core/node/internal/images"
	"github.com/pintle-io/pintle/core/node/internal/logs"
	"github.com/pintle-io/pintle/core/node/internal/machine"
	"github.com/pintle-io/pintle/core/node/internal/podspec"
	"github.com/pintle-io/pintle/core/node/internal/server"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/runtime"
)

const (
	imagePeriod    = 5 * time.Minute
	reclaimTimeout = 2 * time.Minute
	statsTimeout   = 10 * time.Second
)

// upkeep starts the parts that serve others or keep order: the endpoint, log
// rotation, garbage collection of images, eviction.
func (a *Agent) upkeep(ctx context.Context, wg *sync.WaitGroup, p *parts, failed chan<- error) {
	rotator := &logs.Rotator{
		Plugins: a.o.Plugins, Containers: p.view.Containers, Log: a.log,
		MaxSize: logs.MaxSize, MaxFiles: logs.MaxFiles,
	}
	wg.Go(func() { rotator.Run(ctx) })
	wg.Go(func() { a.collectImages(ctx, p) })
	wg.Go(func() { p.eviction.Run(ctx) })
	a.registerMetrics(p)
	if a.o.Listener == nil {
		return
	}
	s := server.New(server.Options{
		Pods: p.pods.Pods, Find: p.pods.Find, View: p.view, Plugins: a.o.Plugins, NodeName: a.o.Name,
		RootDir: a.o.RootDir, Gatherer: a.o.Gatherer, Log: a.log,
	})
	wg.Go(func() {
		if err := s.Serve(ctx, a.o.Listener, a.o.TLS); err != nil {
			failed <- fmt.Errorf("node %s: serving on %s: %w", a.o.Name, a.o.Listener.Addr(), err)
		}
	})
}

// newEviction ties the eviction manager to what it measures and acts on.
func (a *Agent) newEviction(p *parts) *eviction.Manager {
	return eviction.New(eviction.Options{
		Thresholds: eviction.DefaultThresholds(),
		Measure:    func() eviction.Measured { return a.measureShortage(p) },
		Pods:       p.pods.Pods,
		Usage:      func(ctx context.Context) map[types.UID]eviction.Usage { return a.usage(ctx, p) },
		Overfull:   p.volumes.Overfull,
		Reclaim:    func(ctx context.Context) error { return a.reclaim(ctx, p, true) },
		Fail:       p.pods.Fail,
		Changed:    func() { p.keeper.Wake() },
		Events:     p.events,
		Log:        a.log,
	})
}

func (a *Agent) measureShortage(p *parts) eviction.Measured {
	var m eviction.Measured
	if total, available, err := machine.Memory(); err == nil {
		m.MemoryTotal, m.MemoryAvailable = uint64(total), uint64(available)
	}
	if d, err := machine.DiskOf(a.o.RootDir); err == nil {
		m.Disk = &d
	}
	if path := p.measurer.imageStore(); path != "" {
		if d, err := machine.DiskOf(path); err == nil {
			m.ImageDisk = &d
		}
	}
	if n, limit, err := machine.Processes(); err == nil {
		m.Processes, m.ProcessLimit = n, limit
	}
	return m
}

// usage of all pods: memory and writable layers as the runtime measures them,
// and the size of their logs.
func (a *Agent) usage(ctx context.Context, p *parts) map[types.UID]eviction.Usage {
	out := map[types.UID]eviction.Usage{}
	ctx, cancel := context.WithTimeout(ctx, statsTimeout)
	defer cancel()
	if rt, err := a.o.Plugins.Runtime(); err == nil {
		if reporter, ok := rt.(runtime.StatsReporter); ok {
			if res, err := reporter.Stats(ctx, &pluginv1.StatsRequest{}); err == nil {
				for _, s := range res.Stats {
					c, ok := p.view.Container(s.ContainerId)
					if !ok {
						continue
					}
					uid := types.UID(c.Labels[podspec.LabelPodUID])
					u := out[uid]
					u.Memory += s.MemoryWorkingSetBytes
					u.Disk += s.WritableLayerBytes
					out[uid] = u
				}
			}
		}
	}
	for _, pod := range p.pods.Pods() {
		u := out[pod.UID]
		u.Disk += a.podDisk(ctx, p, pod)
		out[pod.UID] = u
	}
	return out
}

func (a *Agent) podDisk(ctx context.Context, p *parts, pod *corev1.Pod) (bytes uint64) {
	files, _ := filepath.Glob(filepath.Join(podspec.LogDirectory(a.o.LogDir, pod.Namespace, pod.Name, pod.UID), "*", "*"))
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			bytes += uint64(info.Size())
		}
	}
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.EmptyDir == nil || v.EmptyDir.Medium == corev1.StorageMediumMemory {
			continue
		}
		if u, err := p.volumes.Usage(ctx, pod, v); err == nil {
			bytes += u.UsedBytes
		}
	}
	return bytes
}

func (a *Agent) collectImages(ctx context.Context, p *parts) {
	tick := time.NewTicker(imagePeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := a.reclaim(ctx, p, false); err != nil && ctx.Err() == nil {
			a.log.Warn("freeing the disk of images failed", "error", err)
		}
	}
}

// reclaim removes unused images: all of them, or as the disk's use demands.
func (a *Agent) reclaim(ctx context.Context, p *parts, all bool) error {
	path := p.measurer.imageStore()
	if path == "" {
		return nil // the runtime keeps its images where nobody can measure
	}
	d, err := machine.DiskOf(path)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, reclaimTimeout)
	defer cancel()
	_, err = p.images.Collect(ctx, images.DefaultThresholds(),
		images.Disk{Total: d.TotalBytes, Available: d.AvailableBytes}, p.view.Containers(), all)
	return err
}

// pressure for the node's conditions.
func (p *parts) pressure() Pressure {
	return Pressure{
		Memory: p.eviction.Pressure(eviction.Memory),
		Disk:   p.eviction.Pressure(eviction.Disk, eviction.Inodes),
		PID:    p.eviction.Pressure(eviction.Process),
	}
}
