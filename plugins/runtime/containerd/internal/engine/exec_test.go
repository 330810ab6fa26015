package engine

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
)

// lockedBuffer is read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestExec(t *testing.T) {
	n := newNode(t)
	s := n.sandbox(nil)
	c := n.run(s, []string{"sleep"}, nil)
	exec := func(in io.Reader, command ...string) (string, string, *runtime.ExitStatus, error) {
		var out, err lockedBuffer
		exit, callErr := n.Exec(n.ctx, &runtime.ExecStart{ContainerId: c.GetId(), Command: command, Stdin: in != nil}, runtime.Streams{Stdin: in, Stdout: &out, Stderr: &err})
		return out.String(), err.String(), exit, callErr
	}
	if out, stderr, exit, err := exec(nil, "/probe", "print", "a", "b"); err != nil || out != "a\n" || stderr != "b\n" || exit.GetExitCode() != 0 {
		t.Errorf("print: %q %q %v %v", out, stderr, exit, err)
	}
	if _, _, exit, err := exec(nil, "/probe", "exit", "42"); err != nil || exit.GetExitCode() != 42 {
		t.Errorf("exit 42: %v %v", exit, err)
	}
	big := strings.Repeat("0123456789", 100_000)
	if out, _, exit, err := exec(strings.NewReader(big), "/probe", "cat"); err != nil || out != big || exit.GetExitCode() != 0 {
		t.Errorf("cat: %d of %d bytes, %v %v", len(out), len(big), exit, err)
	}
	if _, _, _, err := exec(nil, "/nothing"); !errs.Is(err, errs.ClassInvalidArgument) || !strings.Contains(err.Error(), "/nothing") {
		t.Errorf("no such command: %v", err)
	}
	exit, err := n.Exec(n.ctx, &runtime.ExecStart{ContainerId: c.GetId(), Command: []string{"/probe", "sleep"}, Timeout: durationpb.New(100 * time.Millisecond)}, runtime.Streams{})
	if err != nil || !exit.GetTimedOut() {
		t.Errorf("timeout: %v %v", exit, err)
	}
	ctx, cancel := context.WithCancel(n.ctx)
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := n.Exec(ctx, &runtime.ExecStart{ContainerId: c.GetId(), Command: []string{"/probe", "sleep"}}, runtime.Streams{}); !errs.Is(err, errs.ClassCanceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := n.StopContainer(n.ctx, &runtime.StopContainerRequest{ContainerId: c.GetId()}); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := exec(nil, "/probe", "exit", "0"); !errs.Is(err, errs.ClassFailedPrecondition) {
		t.Errorf("in an ended container: %v", err)
	}
}

func TestExecWithTerminal(t *testing.T) {
	n := newNode(t)
	c := n.run(n.sandbox(nil), []string{"sleep"}, nil)
	var out lockedBuffer
	resize := make(chan *runtime.TerminalSize, 1)
	resize <- &runtime.TerminalSize{Width: 91, Height: 37}
	ctx, cancel := context.WithCancel(n.ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := n.Exec(ctx, &runtime.ExecStart{ContainerId: c.GetId(), Command: []string{"/probe", "terminal"}, Tty: true, Stdin: true},
			runtime.Streams{Stdin: blockedReader{ctx}, Stdout: &out, Resize: resize})
		done <- err
	}()
	n.until("the first size", func() bool { return strings.Contains(out.String(), "91x37") })
	resize <- &runtime.TerminalSize{Width: 92, Height: 38}
	n.until("the second size", func() bool { return strings.Contains(out.String(), "92x38") })
	cancel()
	<-done
}

// blockedReader is a person who types nothing.
type blockedReader struct{ ctx context.Context }

func (r blockedReader) Read([]byte) (int, error) {
	<-r.ctx.Done()
	return 0, io.EOF
}

func TestAttach(t *testing.T) {
	n := newNode(t)
	c := n.run(n.sandbox(nil), []string{"cat"}, func(req *runtime.CreateContainerRequest) { req.Stdin, req.StdinOnce = true, true })
	var out lockedBuffer
	input, typist := io.Pipe()
	type result struct {
		exit *runtime.ExitStatus
		err  error
	}
	done := make(chan result, 1)
	go func() {
		exit, err := n.Attach(n.ctx, &runtime.AttachStart{ContainerId: c.GetId()}, runtime.Streams{Stdin: input, Stdout: &out})
		done <- result{exit, err}
	}()
	if _, err := io.WriteString(typist, "typed\n"); err != nil {
		t.Fatal(err)
	}
	n.until("the echo", func() bool { return out.String() == "typed\n" })
	_ = typist.Close()
	if r := <-done; r.err != nil || r.exit.GetExitCode() != 0 {
		t.Errorf("%v, %v", r.exit, r.err)
	}
	if got := n.log(n.end(c), "stdout"); got != "typed\n" {
		t.Errorf("log: %q", got)
	}
}

func TestContainerWithTerminal(t *testing.T) {
	n := newNode(t)
	c := n.run(n.sandbox(nil), []string{"terminal"}, func(req *runtime.CreateContainerRequest) { req.Stdin, req.Tty = true, true })
	ctx, cancel := context.WithCancel(n.ctx)
	defer cancel()
	var out lockedBuffer
	resize := make(chan *runtime.TerminalSize, 1)
	done := make(chan error, 1)
	go func() {
		_, err := n.Attach(ctx, &runtime.AttachStart{ContainerId: c.GetId()}, runtime.Streams{Stdout: &out, Resize: resize})
		done <- err
	}()
	resize <- &runtime.TerminalSize{Width: 55, Height: 44}
	n.until("the size", func() bool { return strings.Contains(out.String(), "55x44") })
	cancel()
	if err := <-done; !errs.Is(err, errs.ClassCanceled) {
		t.Error(err)
	}
	if state := n.get(c.GetId()).GetState(); state.String() != "STATE_RUNNING" {
		t.Errorf("who left took the container along: %s", state)
	}
}
