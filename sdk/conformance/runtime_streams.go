package conformance

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
)

func runtimeStreamChecks() []Check {
	return []Check{
		runtimeCheck("exec.output", "Exec returns the exit code once all output was written, by stream.", needsCapability(runtime.CapabilityExec, checkExecOutput)),
		runtimeCheck("exec.input", "Exec hands the input over whole, and closes it at its end.", needsCapability(runtime.CapabilityExec, checkExecInput)),
		runtimeCheck("exec.terminal", "Exec with a terminal has the size that was asked for.", needsCapability(runtime.CapabilityExec, checkExecTerminal)),
		runtimeCheck("exec.timeout", "When the timeout runs out the process is killed and timed_out set; when the caller leaves it is killed too.", needsCapability(runtime.CapabilityExec, checkExecTimeout)),
		runtimeCheck("exec.errors", "A command that can't be executed is InvalidArgument, a container that does not run FailedPrecondition, one that does not exist NotFound.", needsCapability(runtime.CapabilityExec, checkExecErrors)),
		runtimeCheck("attach", "Attach joins the streams until the container ends, and gives its exit code.", needsCapability(runtime.CapabilityAttach, checkAttach)),
		runtimeCheck("attach.leave", "One who attached and leaves does not end the container.", needsCapability(runtime.CapabilityAttach, checkAttachLeave)),
		runtimeCheck("stats", "Stats of a running container measure it.", needsCapability(runtime.CapabilityStats, checkStats)),
	}
}

// safeBuffer is read while it is written.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (w *runtimeWorld) untilHas(b *safeBuffer, text string) error {
	for !strings.Contains(b.String(), text) {
		if err := w.pause(); err != nil {
			return fmt.Errorf("%q is not in the output %.200q: %w", text, b.String(), err)
		}
	}
	return nil
}

func (w *runtimeWorld) exec(c *runtime.Container, in io.Reader, args ...string) (stdout, stderr string, exit *runtime.ExitStatus, err error) {
	var out, errOut safeBuffer
	exit, err = w.client.Exec(w, &runtime.ExecStart{
		ContainerId: c.GetId(), Command: append([]string{"/runtimeprobe"}, args...), Stdin: in != nil,
	}, runtime.Streams{Stdin: in, Stdout: &out, Stderr: &errOut})
	return out.String(), errOut.String(), exit, err
}

func checkExecOutput(w *runtimeWorld) error {
	c, err := w.run("sleep")
	if err != nil {
		return err
	}
	stdout, stderr, exit, err := w.exec(c, nil, "print", "to stdout", "to stderr")
	if err != nil || exit.GetExitCode() != 0 || stdout != "to stdout\n" || stderr != "to stderr\n" {
		return fmt.Errorf("stdout %q, stderr %q, exit %v, error %w", stdout, stderr, exit, err)
	}
	_, _, exit, err = w.exec(c, nil, "exit", "42")
	if err != nil || exit.GetExitCode() != 42 {
		return fmt.Errorf("\"exit 42\": exit %v, error %w", exit, err)
	}
	many, _, _, err := w.exec(c, nil, "lines", "20000", "100")
	if err != nil {
		return err
	}
	return checkLines(many, 20000)
}

func checkExecInput(w *runtimeWorld) error {
	c, err := w.run("sleep")
	if err != nil {
		return err
	}
	input := strings.Repeat("0123456789", 50_000)
	got, _, exit, err := w.exec(c, strings.NewReader(input), "cat")
	if err != nil || exit.GetExitCode() != 0 {
		return fmt.Errorf("exit %v, error %w", exit, err)
	}
	if got != input {
		return fmt.Errorf("%d bytes of %d came back", len(got), len(input))
	}
	return nil
}

func checkExecTerminal(w *runtimeWorld) error {
	c, err := w.run("sleep")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(w)
	defer cancel()
	var out safeBuffer
	resize := make(chan *runtime.TerminalSize, 1)
	resize <- &runtime.TerminalSize{Width: 91, Height: 37}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = w.client.Exec(ctx, &runtime.ExecStart{ContainerId: c.GetId(), Command: []string{"/runtimeprobe", "terminal"}, Tty: true}, runtime.Streams{Stdout: &out, Resize: resize})
	}()
	err = w.untilHas(&out, "terminal 91x37")
	if err == nil {
		resize <- &runtime.TerminalSize{Width: 92, Height: 38}
		err = w.untilHas(&out, "terminal 92x38")
	}
	cancel()
	<-done
	return err
}

func checkExecTimeout(w *runtimeWorld) error {
	c, err := w.run("sleep")
	if err != nil {
		return err
	}
	start := &runtime.ExecStart{ContainerId: c.GetId(), Command: []string{"/runtimeprobe", "sleep"}, Timeout: durationpb.New(100 * time.Millisecond)}
	exit, err := w.client.Exec(w, start, runtime.Streams{})
	if err != nil || !exit.GetTimedOut() {
		return fmt.Errorf("exit %v, error %w", exit, err)
	}
	ctx, cancel := context.WithTimeout(w, 100*time.Millisecond)
	defer cancel()
	start.Timeout = nil
	if exit, err = w.client.Exec(ctx, start, runtime.Streams{}); err == nil {
		return fmt.Errorf("a call whose caller left succeeds: %v", exit)
	}
	if after, err := w.get(c.GetId()); err != nil || after.GetState() != pluginv1.Container_STATE_RUNNING {
		return fmt.Errorf("the container is %v, %w", after, err)
	}
	return nil
}

func checkExecErrors(w *runtimeWorld) error {
	c, err := w.run("sleep")
	if err != nil {
		return err
	}
	_, err = w.client.Exec(w, &runtime.ExecStart{ContainerId: c.GetId(), Command: []string{"/no/such/command"}}, runtime.Streams{})
	if err := mustBe(err, errs.ClassInvalidArgument, "Exec of a command that does not exist"); err != nil {
		return err
	}
	if _, err := w.client.StopContainer(w, &runtime.StopContainerRequest{ContainerId: c.GetId()}); err != nil {
		return err
	}
	_, _, _, err = w.exec(c, nil, "exit", "0")
	if err := mustBe(err, errs.ClassFailedPrecondition, "Exec in a container that has ended"); err != nil {
		return err
	}
	c.Id = "cf-unknown"
	_, _, _, err = w.exec(c, nil, "exit", "0")
	return mustBe(err, errs.ClassNotFound, "Exec in a container that does not exist")
}

// attached runs a program with an open input and joins it.
func (w *runtimeWorld) attached(ctx context.Context, out io.Writer, args ...string) (*runtime.Container, io.WriteCloser, func() (*runtime.ExitStatus, error), error) {
	s, err := w.sandbox()
	if err != nil {
		return nil, nil, nil, err
	}
	req := w.containerRequest(s.GetId(), args...)
	req.Stdin, req.StdinOnce = true, true
	c, err := w.createIn(req)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := w.start(c); err != nil {
		return nil, nil, nil, err
	}
	input, typist := io.Pipe()
	var exit *runtime.ExitStatus
	var group callGroup
	group.Go(func() (err error) {
		exit, err = w.client.Attach(ctx, &runtime.AttachStart{ContainerId: c.GetId()}, runtime.Streams{Stdin: input, Stdout: out})
		_ = input.Close()
		return err
	})
	return c, typist, func() (*runtime.ExitStatus, error) {
		err := group.Wait()
		return exit, err
	}, nil
}

func checkAttach(w *runtimeWorld) error {
	var out safeBuffer
	c, typist, wait, err := w.attached(w, &out, "cat")
	if err != nil {
		return err
	}
	if _, err := io.WriteString(typist, "typed\n"); err != nil {
		return err
	}
	if err := w.untilHas(&out, "typed\n"); err != nil {
		return err
	}
	if err := typist.Close(); err != nil {
		return err
	}
	exit, err := wait()
	if err != nil || exit.GetExitCode() != 0 {
		return fmt.Errorf("exit %v, error %w", exit, err)
	}
	if _, err := w.ended(c.GetId()); err != nil {
		return err
	}
	logged, err := readLog(c.GetLogPath(), "stdout")
	if err != nil {
		return err
	}
	return differs("the log of a container that was attached to", logged, "typed\n")
}

func checkAttachLeave(w *runtimeWorld) error {
	ctx, cancel := context.WithCancel(w)
	defer cancel()
	var out safeBuffer
	c, _, wait, err := w.attached(ctx, &out, "lines-slowly", "100000", "10")
	if err != nil {
		return err
	}
	if err := w.untilHas(&out, "\n"); err != nil {
		return err
	}
	cancel()
	if _, err := wait(); err == nil {
		return fmt.Errorf("Attach succeeds after its caller left")
	}
	after, err := w.get(c.GetId())
	if err == nil && after.GetState() != pluginv1.Container_STATE_RUNNING {
		err = fmt.Errorf("the container is %v", after)
	}
	return err
}

func checkStats(w *runtimeWorld) error {
	c, err := w.run("sleep")
	if err != nil {
		return err
	}
	resp, err := w.client.Stats(w, &runtime.StatsRequest{ContainerId: c.GetId()})
	if err != nil {
		return err
	}
	if len(resp.GetStats()) != 1 {
		return fmt.Errorf("stats of %d containers, not 1", len(resp.GetStats()))
	}
	s := resp.GetStats()[0]
	if s.GetContainerId() != c.GetId() || s.GetSandboxId() != c.GetSandboxId() || s.GetMemoryUsageBytes() == 0 || s.GetAt() == nil {
		return fmt.Errorf("they measure nothing: %v", s)
	}
	return nil
}
