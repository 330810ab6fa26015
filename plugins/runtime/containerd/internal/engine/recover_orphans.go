package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/snapshots"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// removeOrphans clears away what belongs to no container: calls that died in
// the middle leave it. The predecessor must have ended, since its calls are not
// done.
func (e *Engine) removeOrphans(ctx context.Context) error {
	var keys []string
	err := e.snapshots().Walk(ctx, func(_ context.Context, info snapshots.Info) error {
		if _, ours := info.Labels[gcRoot]; ours && info.Kind == snapshots.KindActive && !e.knows(info.Name) {
			keys = append(keys, info.Name)
		}
		return nil
	})
	if err != nil {
		return classify(err, "list the file systems of containers")
	}
	var all []error
	for _, key := range keys {
		all = append(all, e.removeSnapshot(ctx, key))
	}
	for _, dir := range []string{filepath.Dir(e.files.containerDir("x")), filepath.Dir(e.files.exitPath("x"))} {
		entries, err := os.ReadDir(dir)
		all = append(all, err)
		for _, entry := range entries {
			name := entry.Name()
			id := name
			if filepath.Ext(name) == ".json" {
				id = name[:len(name)-len(".json")]
			}
			if !e.knows(id) {
				all = append(all, os.RemoveAll(filepath.Join(dir, name)))
			}
		}
	}
	return errors.Join(all...)
}

// removeExecs ends commands whose callers went with the process that served
// them.
func (e *Engine) removeExecs(ctx context.Context) {
	for _, c := range e.table.containersOf("") {
		dirs, err := filepath.Glob(filepath.Join(e.files.containerDir(c.id), execPrefix+"*"))
		if err != nil {
			continue
		}
		for _, dir := range dirs {
			if c.state() == pluginv1.Container_STATE_RUNNING {
				(&execution{engine: e, containerID: c.id, id: filepath.Base(dir)}).delete(ctx)
			}
			_ = os.RemoveAll(dir)
		}
	}
}

func (e *Engine) knows(containerID string) bool { return e.table.container(containerID) != nil }
