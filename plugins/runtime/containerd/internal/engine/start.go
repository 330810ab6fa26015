package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"
	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/output"
)

// startErrorCode is the exit code of a container that could not be started, as
// CRI runtimes have it.
const startErrorCode = 128

// StartContainer implements runtime.Runtime.
func (e *Engine) StartContainer(ctx context.Context, req *runtime.StartContainerRequest) (*runtime.StartContainerResponse, error) {
	unlock, err := e.verbs.lock(ctx, "container "+req.GetContainerId())
	if err != nil {
		return nil, err
	}
	defer unlock()
	c := e.table.container(req.GetContainerId())
	if c == nil {
		return nil, errs.NotFound("start container: there is no container %s", req.GetContainerId())
	}
	switch c.state() {
	case pluginv1.Container_STATE_RUNNING:
		return &runtime.StartContainerResponse{}, nil
	case pluginv1.Container_STATE_CREATED:
	default:
		return nil, errs.FailedPrecondition("start container %s: it has ended; a container is started once", c.id)
	}
	if !e.sandboxAlive(c) {
		return nil, errs.FailedPrecondition("start container %s: its sandbox %s is stopped", c.id, c.rec.SandboxID)
	}
	if err := e.start(ctx, c); err != nil {
		return nil, fmt.Errorf("start container %s (%s): %w", c.id, c.snapshot().GetName(), err)
	}
	return &runtime.StartContainerResponse{}, nil
}

func (e *Engine) start(ctx context.Context, c *container) error {
	starting := make(chan struct{})
	c.mu.Lock()
	c.starting = starting
	c.mu.Unlock()
	defer close(starting)

	pid, at, err := e.startTask(ctx, c)
	if err != nil {
		return e.startFailed(context.WithoutCancel(ctx), c, err)
	}
	if err := writeFile(e.files.startedPath(c.id), startedFile{At: at, PID: pid}); err != nil {
		// Only the exact time is lost, after a restart of the plugin.
		e.logger.Warn("can't note when a container was started", "container", c.id, "err", err)
	}
	info := c.update(func(info *runtime.Container) {
		info.State, info.StartedAt, info.Pid = pluginv1.Container_STATE_RUNNING, timestamppb.New(at), pid
	})
	e.emit(pluginv1.EventsResponse_TYPE_STARTED, info)
	return nil
}

// startTask makes the container's task and runs it. Whatever happens, the
// streams of a task that was not made are ended. The time is from before the
// process began, since it may have ended before we hear that it did.
func (e *Engine) startTask(ctx context.Context, c *container) (pid uint32, at time.Time, err error) {
	paths, err := output.MakeFIFOs(e.files.containerDir(c.id), c.rec.Stdin, c.rec.TTY)
	if err != nil {
		return 0, at, errs.Internal("connect the output: %w", err)
	}
	mounts, err := e.mounts(ctx, c)
	if err != nil {
		return 0, at, err
	}
	streams, stdin, err := e.openStreams(c, paths)
	if err != nil {
		return 0, at, err
	}
	e.keep(c.id, streams)
	pid, err = e.createTask(ctx, c, paths, mounts)
	streams.Opened()
	if err != nil {
		closeStdin(stdin)
		return 0, at, err
	}
	c.mu.Lock()
	c.streams, c.stdin, c.mounts = streams, stdin, nil
	c.mu.Unlock()
	at = time.Now()
	_, err = call(ctx, e.tasksClient().Start, &tasksapi.StartRequest{ContainerID: c.id})
	return pid, at, err
}

func (e *Engine) mounts(ctx context.Context, c *container) ([]mount.Mount, error) {
	c.mu.Lock()
	mounts := c.mounts
	c.mu.Unlock()
	if mounts != nil {
		return mounts, nil
	}
	mounts, err := e.snapshots().Mounts(ctx, c.rec.SnapshotKey)
	return mounts, classify(err, "find the file system")
}

func (e *Engine) openStreams(c *container, paths output.Paths) (*output.Streams, *os.File, error) {
	streams, err := output.Open(output.Options{
		Paths: paths, LogPath: c.snapshot().GetLogPath(), New: true, Logger: e.logger.With("container", c.id),
	})
	if err != nil {
		return nil, nil, errs.FailedPrecondition("connect the output: %w", err)
	}
	if paths.Stdin == "" {
		return streams, nil, nil
	}
	stdin, err := output.OpenWrite(paths.Stdin)
	if err != nil {
		streams.Opened()
		return nil, nil, errs.Internal("connect the input: %w", err)
	}
	return streams, stdin, nil
}

func closeStdin(stdin *os.File) {
	if stdin != nil {
		_ = stdin.Close()
	}
}

func (e *Engine) createTask(ctx context.Context, c *container, paths output.Paths, mounts []mount.Mount) (uint32, error) {
	request := &tasksapi.CreateTaskRequest{
		ContainerID: c.id, Terminal: c.rec.TTY,
		Stdin: paths.Stdin, Stdout: paths.Stdout, Stderr: paths.Stderr,
		Rootfs: rootfs(mounts),
	}
	resp, err := call(ctx, e.tasksClient().Create, request)
	if errdefs.IsAlreadyExists(err) {
		// Made by a call that died before it started it.
		if err := e.deleteTask(ctx, c.id); err != nil {
			return 0, err
		}
		resp, err = call(ctx, e.tasksClient().Create, request)
	}
	if err != nil {
		return 0, err
	}
	return resp.Pid, nil
}

func rootfs(mounts []mount.Mount) []*types.Mount {
	var out []*types.Mount
	for _, m := range mounts {
		out = append(out, &types.Mount{Type: m.Type, Source: m.Source, Target: m.Target, Options: m.Options})
	}
	return out
}

// deleteTask forgets a task, killing it where it runs. It succeeds where there
// is none.
func (e *Engine) deleteTask(ctx context.Context, id string) error {
	_, err := call(ctx, e.tasksClient().Delete, &tasksapi.DeleteTaskRequest{ContainerID: id})
	if err == nil || errdefs.IsNotFound(err) {
		return nil
	}
	// It is not stopped: FailedPrecondition, whose class older shims lose.
	if err := e.kill(ctx, id, uint32(sigkill), true); err != nil {
		return err
	}
	for deadline := time.Now().Add(killTimeout); time.Now().Before(deadline); {
		_, err = call(ctx, e.tasksClient().Delete, &tasksapi.DeleteTaskRequest{ContainerID: id})
		if err == nil || errdefs.IsNotFound(err) {
			return nil
		}
		select {
		case <-ctx.Done():
			return classify(ctx.Err(), "delete the task of container %s", id)
		case <-time.After(killInterval):
		}
	}
	return classify(err, "delete the task of container %s", id)
}

// startFailed notes why a container could not be started, and returns it.
func (e *Engine) startFailed(ctx context.Context, c *container, cause error) error {
	if ctxErr := e.ctx.Err(); ctxErr != nil {
		return classify(cause, "the plugin ends")
	}
	var classified *errs.Error
	reason, message := runtime.ReasonStartError, cause.Error()
	if !errors.As(cause, &classified) {
		message = runtimeMessage(cause)
		if cannotRun(cause) {
			reason = runtime.ReasonCannotRun
		}
	}
	switch errs.ClassOf(classify(cause, "")) {
	case errs.ClassCanceled, errs.ClassDeadlineExceeded, errs.ClassUnavailable:
		// Nothing is wrong with the container: it may be started again.
		if err := e.deleteTask(ctx, c.id); err != nil {
			e.logger.Warn("a task that was not wanted any more is left", "container", c.id, "err", err)
		}
		return classify(cause, "run it")
	}
	if err := e.deleteTask(ctx, c.id); err != nil {
		e.logger.Warn("the task of a container that can't be started is left", "container", c.id, "err", err)
	}
	e.finish(c, func(info *runtime.Container) {
		info.ExitCode, info.Reason, info.Message = startErrorCode, reason, message
		info.FinishedAt = timestamppb.Now()
		info.StartedAt = info.FinishedAt
	})
	if reason == runtime.ReasonCannotRun {
		return errs.InvalidArgument("%s", message).WithReason(reason).WithHint("check command, args and workingDir against what the image holds")
	}
	if classified != nil {
		return cause
	}
	return errs.Internal("%s", message).WithReason(reason)
}
