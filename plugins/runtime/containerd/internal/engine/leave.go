package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/runtime"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/cgroup"
	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/daemon"
)

// Command of the executable that takes everything back, and its arguments.
const (
	LeaveCommand = "leave"
	LeaveUsage   = "leave STATE_DIR RUN_DIR [CONFIG_FILE]"
)

// Leave takes back all that the plugin ever made on this machine: containers,
// sandboxes with their namespaces, mounts and cgroups, images, its namespace in
// containerd, a containerd of its own, and the files in its directories. No
// plugin may be running. It may be repeated.
func Leave(ctx context.Context, stateDir, runDir string, config []byte) error {
	e := New()
	if err := plugin.DecodeConfig(&plugin.ConfigureRequest{Config: config}, &e.config); err != nil {
		return err
	}
	if err := e.config.complete(); err != nil {
		return err
	}
	e.files = files{state: stateDir, run: runDir}
	if !daemon.Exists(ctx, e.daemonOptions()) {
		return removeContent(stateDir, runDir)
	}
	if err := e.Open(ctx, stateDir, runDir); err != nil {
		return err
	}
	err := e.leave(ctx)
	if closeErr := e.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if e.daemon.Own {
		if err := daemon.Stop(e.daemonOptions()); err != nil {
			return err
		}
	}
	return removeContent(stateDir, runDir)
}

func (e *Engine) leave(ctx context.Context) error {
	e.work.Go(e.watch)
	if err := e.waitWatching(ctx); err != nil {
		return err
	}
	if !e.output.owned() {
		return errs.FailedPrecondition("a plugin still runs on %s", e.files.run).WithHint("stop pintled first")
	}
	for _, s := range e.table.allSandboxes() {
		if _, err := e.RemoveSandbox(ctx, &runtime.RemoveSandboxRequest{SandboxId: s.id}); err != nil {
			return err
		}
	}
	if err := e.removeNotedCgroups(); err != nil {
		return err
	}
	records, err := e.client.ImageService().List(ctx)
	if err != nil {
		return classify(err, "list images")
	}
	for i, record := range records {
		var options []images.DeleteOpt
		if i == len(records)-1 {
			options = append(options, images.SynchronousDelete())
		}
		if err := e.client.ImageService().Delete(ctx, record.Name, options...); err != nil && !errdefs.IsNotFound(err) {
			return classify(err, "remove image %s", record.Name)
		}
	}
	if err := e.client.NamespaceService().Delete(ctx, e.config.Namespace); err != nil && !errdefs.IsNotFound(err) && !e.daemon.Own {
		// Somebody else used it too: what they have there is theirs.
		e.logger.Warn("the namespace stays in containerd", "namespace", e.config.Namespace, "err", err)
	}
	return nil
}

// noteCgroups remembers where pods' cgroups are made. The directories between
// them and the root stay when a pod goes, since the next one needs them and the
// node may have limits there; only leave removes them.
func (e *Engine) noteCgroups(group string) error {
	dir := path.Dir(group)
	e.cgroupsMu.Lock()
	defer e.cgroupsMu.Unlock()
	if e.cgroupsNoted[dir] {
		return nil
	}
	file, err := os.OpenFile(e.files.cgroups(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, dir)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if e.cgroupsNoted == nil {
		e.cgroupsNoted = map[string]bool{}
	}
	e.cgroupsNoted[dir] = true
	return nil
}

func (e *Engine) removeNotedCgroups() error {
	data, err := os.ReadFile(e.files.cgroups())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for dir := range strings.FieldsSeq(string(data)) {
		cgroup.RemoveEmptyAncestors(path.Join(dir, "pod"))
	}
	return err
}

// removeContent empties directories that are ours but were made by others.
func removeContent(dirs ...string) error {
	var all []error
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		all = append(all, err)
		for _, entry := range entries {
			if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
				all = append(all, fmt.Errorf("remove the plugin's files: %w", err))
			}
		}
	}
	return errors.Join(all...)
}
