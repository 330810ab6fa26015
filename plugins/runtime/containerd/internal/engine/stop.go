package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/cgroup"
)

const (
	sigkill = unix.SIGKILL
	// killTimeout is how long the end of a killed container is waited for
	// before its state is asked for, in case its event was missed.
	killTimeout  = 10 * time.Second
	killInterval = 20 * time.Millisecond
	// drainTimeout is how long an ended container's last output is waited for.
	// It arrives at once, unless a process outlived the container.
	drainTimeout = 2 * time.Second
)

// StopContainer implements runtime.Runtime.
func (e *Engine) StopContainer(ctx context.Context, req *runtime.StopContainerRequest) (*runtime.StopContainerResponse, error) {
	c := e.table.container(req.GetContainerId())
	if c == nil {
		return &runtime.StopContainerResponse{}, nil
	}
	// Not under the container's lock: a second stop with less grace must be
	// able to overtake a first one.
	if err := e.awaitStart(ctx, c); err != nil {
		return nil, err
	}
	if c.state() != pluginv1.Container_STATE_RUNNING {
		return &runtime.StopContainerResponse{}, nil
	}
	if err := e.stop(ctx, c, req.GetGracePeriod().AsDuration()); err != nil {
		return nil, fmt.Errorf("stop container %s (%s): %w", c.id, c.snapshot().GetName(), err)
	}
	return &runtime.StopContainerResponse{}, nil
}

// awaitStart waits for a StartContainer that is at work.
func (e *Engine) awaitStart(ctx context.Context, c *container) error {
	c.mu.Lock()
	starting := c.starting
	c.mu.Unlock()
	if starting == nil {
		return nil
	}
	select {
	case <-starting:
		return nil
	case <-ctx.Done():
		return classify(ctx.Err(), "wait for the start of container %s", c.id)
	}
}

func (e *Engine) stop(ctx context.Context, c *container, grace time.Duration) error {
	if grace > 0 {
		signal, err := parseSignal(c.rec.StopSignal)
		if err != nil {
			return errs.InvalidArgument("stop_signal: %w", err)
		}
		if err := e.kill(ctx, c.id, uint32(signal), false); err != nil {
			return err
		}
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-c.exited:
			return nil
		case <-ctx.Done():
			return classify(ctx.Err(), "wait for it to end by itself")
		case <-timer.C:
		}
	}
	return e.killAndWait(ctx, c)
}

func (e *Engine) killAndWait(ctx context.Context, c *container) error {
	for {
		if err := e.kill(ctx, c.id, uint32(sigkill), true); err != nil {
			return err
		}
		timer := time.NewTimer(killTimeout)
		select {
		case <-c.exited:
			timer.Stop()
			return nil
		case <-ctx.Done():
			timer.Stop()
			return classify(ctx.Err(), "wait for its end after it was killed")
		case <-timer.C:
		}
		tasks, err := e.tasks(ctx)
		if err != nil {
			return err
		}
		e.checkTask(c, tasks[c.id])
	}
}

// kill sends a signal; a task that is gone or has ended is no error.
func (e *Engine) kill(ctx context.Context, id string, signal uint32, all bool) error {
	_, err := call(ctx, e.tasksClient().Kill, &tasksapi.KillRequest{ContainerID: id, Signal: signal, All: all})
	if err == nil || errdefs.IsNotFound(err) || strings.Contains(err.Error(), "process already finished") {
		return nil
	}
	return classify(err, "send signal %d to container %s", signal, id)
}

// parseSignal reads a name ("SIGINT", "INT") or a number; empty is SIGTERM.
func parseSignal(name string) (syscall.Signal, error) {
	if name == "" {
		return unix.SIGTERM, nil
	}
	var number int
	if _, err := fmt.Sscanf(name, "%d", &number); err == nil && number > 0 && number <= 64 {
		return syscall.Signal(number), nil
	}
	upper := strings.ToUpper(name)
	if !strings.HasPrefix(upper, "SIG") {
		upper = "SIG" + upper
	}
	var offset int
	if n, _ := fmt.Sscanf(upper, "SIGRTMIN+%d", &offset); n == 1 && offset >= 0 && offset <= 30 {
		return syscall.Signal(34 + offset), nil
	}
	if n, _ := fmt.Sscanf(upper, "SIGRTMAX-%d", &offset); n == 1 && offset >= 0 && offset <= 30 {
		return syscall.Signal(64 - offset), nil
	}
	if signal := unix.SignalNum(upper); signal != 0 {
		return signal, nil
	}
	return 0, fmt.Errorf("%q is not a signal", name)
}

// exitStatus is how a task ended, as containerd tells.
type exitStatus struct {
	code uint32
	at   time.Time
	// known is false where nobody can tell the code; message then says why.
	known   bool
	message string
}

// ended notes the end of a container, once, and after its last output.
func (e *Engine) ended(c *container, exit exitStatus) {
	c.mu.Lock()
	again := c.ending || c.info.GetState() == pluginv1.Container_STATE_EXITED
	c.ending = true
	c.mu.Unlock()
	if again {
		return
	}
	e.work.Go(func() {
		if err := e.awaitStart(e.ctx, c); err != nil {
			return
		}
		if c.state() != pluginv1.Container_STATE_RUNNING {
			// A start that was given up: the container may be started again.
			c.mu.Lock()
			c.ending = false
			c.mu.Unlock()
			return
		}
		e.drain(c)
		if e.ctx.Err() != nil {
			// The next process finds the task with its status.
			return
		}
		e.finish(c, func(info *runtime.Container) { e.describeExit(c, info, exit) })
	})
}

// drain waits for what the container wrote last.
func (e *Engine) drain(c *container) {
	c.mu.Lock()
	streams := c.streams
	c.mu.Unlock()
	if streams == nil {
		return
	}
	streams.Ended()
	timer := time.NewTimer(drainTimeout)
	defer timer.Stop()
	select {
	case <-streams.Done():
	case <-timer.C:
	case <-e.ctx.Done():
	}
}

func (e *Engine) describeExit(c *container, info *runtime.Container, exit exitStatus) {
	info.FinishedAt = timestamppb.New(exit.at)
	info.ExitCode, info.Message = int32(exit.code), exit.message
	// 128+n is how a shell and runc tell of signal n.
	if exit.known && exit.code > 128 && exit.code <= 128+64 {
		info.Signal = int32(exit.code - 128)
	}
	switch {
	case exit.code == 0:
		info.Reason = runtime.ReasonCompleted
	case exit.known && cgroup.OOMKills(c.rec.CgroupPath) > 0:
		info.Reason = runtime.ReasonOOMKilled
	default:
		info.Reason = runtime.ReasonError
	}
}

// finish makes a container EXITED and tells of it.
func (e *Engine) finish(c *container, describe func(*runtime.Container)) {
	info := c.update(func(info *runtime.Container) {
		info.State, info.Pid = pluginv1.Container_STATE_EXITED, 0
		describe(info)
	})
	if err := e.files.writeExit(info); err != nil {
		e.logger.Error("can't save how a container ended; it is kept by containerd until the sandbox is stopped", "container", c.id, "err", err)
	}
	c.mu.Lock()
	closeStdin(c.stdin)
	c.stdin = nil
	c.mu.Unlock()
	close(c.exited)
	e.emit(pluginv1.EventsResponse_TYPE_EXITED, info)
}

// endTask ends a container without grace and deletes its task.
func (e *Engine) endTask(ctx context.Context, c *container) error {
	unlock, err := e.verbs.lock(ctx, "container "+c.id)
	if err != nil {
		return err
	}
	defer unlock()
	return e.endTaskLocked(ctx, c)
}

func (e *Engine) endTaskLocked(ctx context.Context, c *container) error {
	switch c.state() {
	case pluginv1.Container_STATE_RUNNING:
		if err := e.killAndWait(ctx, c); err != nil {
			return err
		}
	case pluginv1.Container_STATE_CREATED:
		return nil
	}
	return e.deleteTask(ctx, c.id)
}

// RemoveContainer implements runtime.Runtime.
func (e *Engine) RemoveContainer(ctx context.Context, req *runtime.RemoveContainerRequest) (*runtime.RemoveContainerResponse, error) {
	unlock, err := e.verbs.lock(ctx, "container "+req.GetContainerId())
	if err != nil {
		return nil, err
	}
	defer unlock()
	c := e.table.container(req.GetContainerId())
	if c == nil {
		return &runtime.RemoveContainerResponse{}, nil
	}
	if err := e.removeContainer(ctx, c); err != nil {
		return nil, fmt.Errorf("remove container %s (%s): %w", c.id, c.snapshot().GetName(), err)
	}
	return &runtime.RemoveContainerResponse{}, nil
}

func (e *Engine) removeContainer(ctx context.Context, c *container) error {
	if err := e.endTaskLocked(ctx, c); err != nil {
		return err
	}
	if err := e.client.ContainerService().Delete(ctx, c.id); err != nil && !errdefs.IsNotFound(err) {
		return classify(err, "forget it")
	}
	if err := e.removeSnapshot(ctx, c.rec.SnapshotKey); err != nil {
		return err
	}
	c.mu.Lock()
	streams := c.streams
	c.mu.Unlock()
	if streams != nil {
		// A process that outlived the container may hold the output open.
		streams.Stop()
	}
	if err := e.keeper.Drop(c.id); err != nil {
		e.logger.Warn("the FIFOs of a removed container stay open", "container", c.id, "err", err)
	}
	if err := errors.Join(os.RemoveAll(e.files.containerDir(c.id)), os.RemoveAll(e.files.exitPath(c.id))); err != nil {
		return err
	}
	e.table.dropContainer(c.id)
	e.emit(pluginv1.EventsResponse_TYPE_REMOVED, c.snapshot())
	return nil
}

// ListContainers implements runtime.Runtime.
func (e *Engine) ListContainers(_ context.Context, req *runtime.ListContainersRequest) (*runtime.ListContainersResponse, error) {
	resp := &runtime.ListContainersResponse{}
	if id := req.GetContainerId(); id != "" {
		c := e.table.container(id)
		if c != nil && (req.GetSandboxId() == "" || req.GetSandboxId() == c.rec.SandboxID) {
			resp.Containers = append(resp.Containers, c.snapshot())
		}
		return resp, nil
	}
	for _, c := range e.table.containersOf(req.GetSandboxId()) {
		resp.Containers = append(resp.Containers, c.snapshot())
	}
	return resp, nil
}

// ReopenLog implements runtime.Runtime.
func (e *Engine) ReopenLog(_ context.Context, req *runtime.ReopenLogRequest) (*runtime.ReopenLogResponse, error) {
	c := e.table.container(req.GetContainerId())
	if c == nil {
		return nil, errs.NotFound("reopen log: there is no container %s", req.GetContainerId())
	}
	c.mu.Lock()
	streams, state := c.streams, c.info.GetState()
	c.mu.Unlock()
	if streams == nil {
		if state == pluginv1.Container_STATE_RUNNING {
			return nil, errs.Unavailable("reopen log of container %s: its output is still read by the plugin's predecessor", c.id)
		}
		return &runtime.ReopenLogResponse{}, nil
	}
	if err := streams.Reopen(); err != nil {
		return nil, errs.Internal("reopen log of container %s: %w", c.id, err)
	}
	return &runtime.ReopenLogResponse{}, nil
}
