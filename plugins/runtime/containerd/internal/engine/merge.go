package engine

import (
	"context"
	"errors"
	"os"

	taskapi "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/errdefs"
	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// merge takes in what the predecessor of this process did after this process
// had looked: while a plugin is replaced, the old one finishes its calls. It has
// ended now. Calls to this process go on meanwhile, so that each ID is looked at
// under its lock.
func (e *Engine) merge(ctx context.Context) error {
	tasks, err := e.tasks(ctx)
	if err != nil {
		return err
	}
	records, err := e.client.ContainerService().List(ctx)
	if err != nil {
		return classify(err, "list the containers in containerd")
	}
	if err := e.mergeSandboxes(ctx); err != nil {
		return err
	}
	var all []error
	for _, record := range records {
		all = append(all, e.mergeContainer(ctx, record, tasks[record.ID]))
	}
	for _, c := range e.table.containersOf("") {
		all = append(all, e.dropIfGone(ctx, c))
	}
	return errors.Join(all...)
}

func (e *Engine) mergeSandboxes(ctx context.Context) error {
	saved, err := e.files.readSandboxes()
	if err != nil {
		return err
	}
	for id := range saved {
		if err := e.mergeSandbox(ctx, id); err != nil {
			return err
		}
	}
	for _, s := range e.table.allSandboxes() {
		unlock, err := e.verbs.lock(ctx, "sandbox "+s.id)
		if err != nil {
			return err
		}
		if _, err := os.Stat(e.files.sandboxDir(s.id)); errors.Is(err, os.ErrNotExist) && len(e.table.containersOf(s.id)) == 0 {
			e.table.dropSandbox(s.id)
		}
		unlock()
	}
	return nil
}

func (e *Engine) mergeSandbox(ctx context.Context, id string) error {
	unlock, err := e.verbs.lock(ctx, "sandbox "+id)
	if err != nil {
		return err
	}
	defer unlock()
	// Again: a call to this process may have changed it since.
	file, err := e.files.readSandbox(id)
	if err != nil {
		return err
	}
	known := e.table.sandbox(id)
	if known == nil {
		s, err := e.loadSandbox(id, file)
		if err == nil {
			e.table.putSandbox(s)
		}
		return err
	}
	if file.Stopped && known.ready() {
		known.setState(pluginv1.Sandbox_STATE_STOPPED)
	}
	return nil
}

func (e *Engine) mergeContainer(ctx context.Context, record containers.Container, task *taskapi.Process) error {
	unlock, err := e.verbs.lock(ctx, "container "+record.ID)
	if err != nil {
		return err
	}
	defer unlock()
	c := e.table.container(record.ID)
	switch {
	case c == nil:
		return e.loadContainer(ctx, record, task)
	case c.state() == pluginv1.Container_STATE_CREATED:
		// The predecessor may have started it.
		c.mu.Lock()
		c.info = proto.CloneOf(c.info)
		e.loadState(c, task)
		c.mu.Unlock()
		if c.state() == pluginv1.Container_STATE_RUNNING {
			e.checkTask(c, task)
		}
	case c.state() == pluginv1.Container_STATE_RUNNING:
		e.checkTask(c, task)
	}
	return nil
}

// dropIfGone forgets a container that the predecessor removed.
func (e *Engine) dropIfGone(ctx context.Context, c *container) error {
	unlock, err := e.verbs.lock(ctx, "container "+c.id)
	if err != nil {
		return err
	}
	defer unlock()
	if e.table.container(c.id) != c {
		return nil
	}
	_, err = e.client.ContainerService().Get(ctx, c.id)
	if !errdefs.IsNotFound(err) {
		return classify(err, "look for container %s", c.id)
	}
	e.table.dropContainer(c.id)
	e.emit(pluginv1.EventsResponse_TYPE_REMOVED, c.snapshot())
	return nil
}
