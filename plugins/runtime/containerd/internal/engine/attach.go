package engine

import (
	"context"
	"fmt"
	"io"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/output"
)

// Attach implements runtime.Attacher.
func (e *Engine) Attach(ctx context.Context, req *runtime.AttachStart, streams runtime.Streams) (*runtime.ExitStatus, error) {
	c := e.table.container(req.GetContainerId())
	if c == nil {
		return nil, errs.NotFound("attach: there is no container %s", req.GetContainerId())
	}
	c.mu.Lock()
	state, carried := c.info.GetState(), c.streams
	c.mu.Unlock()
	if state != pluginv1.Container_STATE_RUNNING {
		return nil, errs.FailedPrecondition("attach to container %s (%s): it does not run", c.id, c.snapshot().GetName())
	}
	if carried == nil {
		return nil, errs.Unavailable("attach to container %s: its output is still read by the plugin's predecessor", c.id)
	}
	exit, err := e.attach(ctx, c, carried, streams)
	if err != nil {
		return nil, fmt.Errorf("attach to container %s (%s): %w", c.id, c.snapshot().GetName(), err)
	}
	return exit, nil
}

func (e *Engine) attach(ctx context.Context, c *container, carried *output.Streams, streams runtime.Streams) (*runtime.ExitStatus, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	attachment := carried.Attach()
	defer attachment.Close()
	if c.rec.Stdin && streams.Stdin != nil {
		go e.feedContainer(ctx, c, streams.Stdin)
	}
	resize := streams.Resize
	for {
		select {
		case <-ctx.Done():
			return nil, classify(ctx.Err(), "the caller left")
		case size := <-resize:
			if size == nil {
				resize = nil
			} else {
				e.resize(ctx, c.id, "", size)
			}
		case chunk, ok := <-attachment.Chunks():
			if !ok {
				return e.attachEnded(ctx, c, attachment)
			}
			if err := deliver(streams, chunk); err != nil {
				return nil, classify(err, "hand over the output")
			}
			attachment.Done(chunk)
		}
	}
}

func deliver(streams runtime.Streams, chunk output.Chunk) error {
	to := streams.Stdout
	if chunk.Stream == output.Stderr {
		to = streams.Stderr
	}
	if to == nil {
		return nil
	}
	_, err := to.Write(chunk.Data)
	return err
}

// attachEnded is reached at the end of the output, which is a moment before the
// end of the container.
func (e *Engine) attachEnded(ctx context.Context, c *container, attachment *output.Attachment) (*runtime.ExitStatus, error) {
	if attachment.Slow() {
		return nil, errs.ResourceExhausted("the caller was too slow to take the output")
	}
	select {
	case <-c.exited:
		return &runtime.ExitStatus{ExitCode: c.snapshot().GetExitCode()}, nil
	case <-ctx.Done():
		return nil, classify(ctx.Err(), "the caller left")
	case <-e.ctx.Done():
		return nil, errs.Unavailable("the plugin ends")
	}
}

// feedContainer copies a caller's input to the container. With stdin_once its
// end is the end of the container's input.
func (e *Engine) feedContainer(ctx context.Context, c *container, from io.Reader) {
	buf := make([]byte, 32<<10)
	for ctx.Err() == nil {
		n, err := from.Read(buf)
		if n > 0 {
			c.mu.Lock()
			stdin := c.stdin
			c.mu.Unlock()
			if stdin == nil {
				return
			}
			if _, err := stdin.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			break
		}
	}
	if !c.rec.StdinOnce {
		return
	}
	c.mu.Lock()
	closeStdin(c.stdin)
	c.stdin = nil
	c.mu.Unlock()
	_, _ = call(e.ctx, e.tasksClient().CloseIO, &tasksapi.CloseIORequest{ContainerID: c.id, Stdin: true})
}
