package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/errdefs"
	"github.com/containerd/typeurl/v2"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/types/known/anypb"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/output"
)

// lingerTimeout is how long output is waited for after a command has ended: a
// process that it left in the background may hold the output open for ever.
const lingerTimeout = time.Second

// execPrefix begins the ID of a command and the name of its directory.
const execPrefix = "exec-"

// Exec implements runtime.Execer.
func (e *Engine) Exec(ctx context.Context, req *runtime.ExecStart, streams runtime.Streams) (*runtime.ExitStatus, error) {
	c := e.table.container(req.GetContainerId())
	if c == nil {
		return nil, errs.NotFound("exec: there is no container %s", req.GetContainerId())
	}
	if c.state() != pluginv1.Container_STATE_RUNNING {
		return nil, errs.FailedPrecondition("exec in container %s (%s): it does not run", c.id, c.snapshot().GetName())
	}
	if len(req.GetCommand()) == 0 {
		return nil, errs.InvalidArgument("exec in container %s: no command", c.id)
	}
	exit, err := e.exec(ctx, c, req, streams)
	if err != nil {
		return nil, fmt.Errorf("exec in container %s (%s): %w", c.id, c.snapshot().GetName(), err)
	}
	return exit, nil
}

func (e *Engine) exec(ctx context.Context, c *container, req *runtime.ExecStart, streams runtime.Streams) (*runtime.ExitStatus, error) {
	process, err := e.execProcess(ctx, c, req)
	if err != nil {
		return nil, err
	}
	id := execPrefix + strings.ToLower(rand.Text())
	dir := filepath.Join(e.files.containerDir(c.id), id)
	paths, err := output.MakeFIFOs(dir, req.GetStdin() && streams.Stdin != nil, req.GetTty())
	if err != nil {
		return nil, errs.Internal("connect the streams: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	x := &execution{engine: e, containerID: c.id, id: id, paths: paths, streams: streams}
	if err := x.open(); err != nil {
		return nil, errs.Internal("connect the streams: %w", err)
	}
	defer x.close()
	// Whatever becomes of the call, the process must not outlive it.
	defer x.delete(context.WithoutCancel(ctx))
	_, err = call(ctx, e.tasksClient().Exec, &tasksapi.ExecProcessRequest{
		ContainerID: c.id, ExecID: id, Terminal: req.GetTty(), Spec: process,
		Stdin: paths.Stdin, Stdout: paths.Stdout, Stderr: paths.Stderr,
	})
	if err != nil {
		return nil, execError(err)
	}
	return x.run(ctx, req.GetTimeout().AsDuration())
}

// execProcess is the container's own process with another command.
func (e *Engine) execProcess(ctx context.Context, c *container, req *runtime.ExecStart) (*anypb.Any, error) {
	own, err := e.process(ctx, c)
	if err != nil {
		return nil, err
	}
	process := *own
	process.Args, process.Terminal = req.GetCommand(), req.GetTty()
	if req.GetTty() {
		process.Env = append(append([]string(nil), own.Env...), "TERM=xterm")
	}
	encoded, err := typeurl.MarshalAny(&process)
	if err != nil {
		return nil, err
	}
	return &anypb.Any{TypeUrl: encoded.GetTypeUrl(), Value: encoded.GetValue()}, nil
}

func (e *Engine) process(ctx context.Context, c *container) (*specs.Process, error) {
	c.mu.Lock()
	process := c.process
	c.mu.Unlock()
	if process != nil {
		return process, nil
	}
	record, err := e.client.ContainerService().Get(ctx, c.id)
	if err != nil {
		return nil, classify(err, "read its record")
	}
	spec := &specs.Spec{}
	if err := typeurl.UnmarshalTo(record.Spec, spec); err != nil {
		return nil, errs.Internal("read its specification: %w", err)
	}
	c.mu.Lock()
	c.process = spec.Process
	c.mu.Unlock()
	return spec.Process, nil
}

func execError(err error) error {
	if cannotRun(err) {
		return errs.InvalidArgument("%s", runtimeMessage(err)).WithReason(runtime.ReasonCannotRun)
	}
	if errdefs.IsNotFound(err) || strings.Contains(err.Error(), "cannot exec in a stopped") || strings.Contains(err.Error(), "container is not running") {
		return errs.FailedPrecondition("it ended meanwhile")
	}
	return classify(err, "run the command")
}

// execution is one command in a container.
type execution struct {
	engine          *Engine
	containerID, id string
	paths           output.Paths
	streams         runtime.Streams

	stdin   *os.File
	outputs []*os.File
	holds   []*os.File
	copies  sync.WaitGroup
	// progress counts what makes an ended command's output worth waiting for.
	progress atomic.Int64
	// writing counts copies that wait for the caller to take output.
	writing  atomic.Int64
	writeErr atomic.Pointer[error]
}

func (x *execution) open() error {
	for _, out := range []struct {
		path string
		to   io.Writer
	}{{x.paths.Stdout, x.streams.Stdout}, {x.paths.Stderr, x.streams.Stderr}} {
		if out.path == "" {
			continue
		}
		from, err := output.OpenRead(out.path)
		if err != nil {
			x.close()
			return err
		}
		x.outputs = append(x.outputs, from)
		hold, err := output.OpenWrite(out.path)
		if err != nil {
			x.close()
			return err
		}
		x.holds = append(x.holds, hold)
		x.copies.Go(func() { x.copy(from, out.to) })
	}
	if x.paths.Stdin == "" {
		return nil
	}
	var err error
	x.stdin, err = output.OpenWrite(x.paths.Stdin)
	if err != nil {
		x.close()
	}
	return err
}

func (x *execution) copy(from *os.File, to io.Writer) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && to != nil {
			x.writing.Add(1)
			_, writeErr := to.Write(buf[:n])
			x.writing.Add(-1)
			x.progress.Add(1)
			if writeErr != nil {
				x.writeErr.CompareAndSwap(nil, &writeErr)
				to = nil
			}
		}
		if err != nil {
			return
		}
	}
}

// opened lets outputs end: the shim has its own ends now.
func (x *execution) opened() {
	for _, hold := range x.holds {
		_ = hold.Close()
	}
	x.holds = nil
}

func (x *execution) close() {
	x.opened()
	for _, file := range x.outputs {
		_ = file.Close()
	}
	closeStdin(x.stdin)
}

func (x *execution) delete(ctx context.Context) {
	e := x.engine
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	for {
		_, err := call(ctx, e.tasksClient().DeleteProcess, &tasksapi.DeleteProcessRequest{ContainerID: x.containerID, ExecID: x.id})
		if err == nil || errdefs.IsNotFound(err) {
			return
		}
		_, _ = call(ctx, e.tasksClient().Kill, &tasksapi.KillRequest{ContainerID: x.containerID, ExecID: x.id, Signal: uint32(sigkill)})
		select {
		case <-ctx.Done():
			e.logger.Warn("a command in a container is left", "container", x.containerID, "exec", x.id, "err", err)
			return
		case <-time.After(killInterval):
		}
	}
}

func (x *execution) run(ctx context.Context, timeout time.Duration) (*runtime.ExitStatus, error) {
	e := x.engine
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_, err := call(ctx, e.tasksClient().Start, &tasksapi.StartRequest{ContainerID: x.containerID, ExecID: x.id})
	x.opened()
	if err != nil {
		return nil, execError(err)
	}
	type ended struct {
		code uint32
		err  error
	}
	exited := make(chan ended, 1)
	go func() {
		resp, err := call(ctx, e.tasksClient().Wait, &tasksapi.WaitRequest{ContainerID: x.containerID, ExecID: x.id})
		exited <- ended{resp.GetExitStatus(), err}
	}()
	go x.feedStdin(ctx)
	var expired <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		expired = timer.C
	}
	status := &runtime.ExitStatus{}
	for {
		select {
		case size := <-x.resizes():
			x.resize(ctx, size)
		case <-expired:
			expired, status.TimedOut = nil, true
			if _, err := call(ctx, e.tasksClient().Kill, &tasksapi.KillRequest{ContainerID: x.containerID, ExecID: x.id, Signal: uint32(sigkill), All: true}); err != nil && !errdefs.IsNotFound(err) {
				return nil, classify(err, "end the command after %s", timeout)
			}
		case <-ctx.Done():
			return nil, classify(ctx.Err(), "the caller gave up")
		case end := <-exited:
			if end.err != nil {
				return nil, classify(end.err, "wait for the command")
			}
			x.awaitOutput(ctx)
			if writeErr := x.writeErr.Load(); writeErr != nil {
				return nil, classify(*writeErr, "hand over the output")
			}
			status.ExitCode = int32(end.code)
			return status, nil
		}
	}
}

// resizes is closed by a caller that has no more: a closed channel would be
// ready for ever.
func (x *execution) resizes() <-chan *runtime.TerminalSize { return x.streams.Resize }

func (x *execution) resize(ctx context.Context, size *runtime.TerminalSize) {
	if size == nil {
		x.streams.Resize = nil
		return
	}
	x.engine.resize(ctx, x.containerID, x.id, size)
}

// resize tells a terminal its size; a process that is gone has none.
func (e *Engine) resize(ctx context.Context, containerID, execID string, size *runtime.TerminalSize) {
	_, err := call(ctx, e.tasksClient().ResizePty, &tasksapi.ResizePtyRequest{
		ContainerID: containerID, ExecID: execID, Width: size.GetWidth(), Height: size.GetHeight(),
	})
	if err != nil && !errdefs.IsNotFound(err) {
		e.logger.Debug("can't resize a terminal", "container", containerID, "err", err)
	}
}

// feedStdin copies the caller's input. It ends with the input, or when the
// FIFO is closed at the end of the command; a read of the caller's that never
// returns ends with the caller.
func (x *execution) feedStdin(ctx context.Context) {
	if x.stdin == nil {
		return
	}
	_, err := io.Copy(x.stdin, x.streams.Stdin)
	if err != nil && !errors.Is(err, os.ErrClosed) && ctx.Err() == nil {
		x.engine.logger.Debug("input of a command ended early", "container", x.containerID, "err", err)
	}
	_ = x.stdin.Close()
	_, _ = call(ctx, x.engine.tasksClient().CloseIO, &tasksapi.CloseIORequest{ContainerID: x.containerID, ExecID: x.id, Stdin: true})
}

// awaitOutput waits until all output of an ended command is handed over, or
// until nothing has come for lingerTimeout.
func (x *execution) awaitOutput(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		x.copies.Wait()
		close(done)
	}()
	seen := x.progress.Load()
	for {
		select {
		case <-done:
			return
		case <-ctx.Done():
			return
		case <-time.After(lingerTimeout):
		}
		now := x.progress.Load()
		if now == seen && x.writing.Load() == 0 {
			for _, file := range x.outputs {
				_ = file.Close()
			}
			<-done
			return
		}
		seen = now
	}
}
