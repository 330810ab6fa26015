package logs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/pintle-io/pintle/core/node/internal/plugins"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// Limits of a container's log, those of Kubernetes by default.
const (
	MaxSize  = 10 << 20
	MaxFiles = 5

	rotatePeriod  = 10 * time.Second
	reopenTimeout = 30 * time.Second
	// stampLayout sorts by time.
	stampLayout = "20060102-150405.000"
)

// Rotator keeps the logs of running containers within bounds.
type Rotator struct {
	Plugins plugins.Lookup
	// Containers that there are.
	Containers func() []*pluginv1.Container
	Log        *slog.Logger
	MaxSize    int64
	MaxFiles   int
}

// Run rotates until ctx ends.
func (r *Rotator) Run(ctx context.Context) {
	tick := time.NewTicker(rotatePeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, c := range r.Containers() {
			if c.State != pluginv1.Container_STATE_RUNNING || c.LogPath == "" {
				continue
			}
			if err := r.Rotate(ctx, c); err != nil && ctx.Err() == nil {
				r.Log.Warn("rotating a container's log failed, it is repeated", "container", c.Id, "log", c.LogPath, "error", err)
			}
		}
	}
}

// Rotate one log if it is too big.
func (r *Rotator) Rotate(ctx context.Context, c *pluginv1.Container) error {
	info, err := os.Stat(c.LogPath)
	if errors.Is(err, os.ErrNotExist) {
		return r.reopen(ctx, c) // a rotation that was interrupted before it
	}
	if err != nil || info.Size() < r.MaxSize {
		return err
	}
	old := c.LogPath + "." + time.Now().UTC().Format(stampLayout)
	if err := os.Rename(c.LogPath, old); err != nil {
		return err
	}
	if err := r.reopen(ctx, c); err != nil {
		// The runtime goes on in the old file: give it its name back.
		return errors.Join(err, os.Rename(old, c.LogPath))
	}
	parts, err := rotated(c.LogPath)
	if err != nil {
		return err
	}
	for len(parts) > r.MaxFiles-1 {
		if err := os.Remove(parts[0]); err != nil {
			return err
		}
		parts = parts[1:]
	}
	return nil
}

func (r *Rotator) reopen(ctx context.Context, c *pluginv1.Container) error {
	ctx, cancel := context.WithTimeout(ctx, reopenTimeout)
	defer cancel()
	rt, err := r.Plugins.Runtime()
	if err != nil {
		return err
	}
	if _, err := rt.ReopenLog(ctx, &pluginv1.ReopenLogRequest{ContainerId: c.Id}); err != nil {
		return fmt.Errorf("reopening the log: %w", err)
	}
	return nil
}
