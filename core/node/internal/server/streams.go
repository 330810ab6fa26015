package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
)

const (
	// streamIdle ends a stream on which nothing moves, as the kubelet's.
	streamIdle     = 4 * time.Hour
	streamCreation = 30 * time.Second
	dialTimeout    = 10 * time.Second
	// maxRunOutput of a command that is run without streams.
	maxRunOutput = 1 << 20
)

var (
	_ remotecommand.Executor    = (*Server)(nil)
	_ remotecommand.Attacher    = (*Server)(nil)
	_ portforward.PortForwarder = (*Server)(nil)
)

func (s *Server) exec(w http.ResponseWriter, r *http.Request) {
	c, fail := s.running(r)
	if fail != nil {
		fail.answer(w)
		return
	}
	o, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	command := r.URL.Query()["command"]
	if len(command) == 0 {
		http.Error(w, "the command is missing", http.StatusBadRequest)
		return
	}
	remotecommand.ServeExec(w, r, s, "", "", c.Id, command, o, streamIdle, streamCreation, remotecommand.SupportedStreamingProtocols)
}

// ExecInContainer runs a command for ServeExec; container is an ID.
func (s *Server) ExecInContainer(ctx context.Context, _, _ string, container string, command []string, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, timeout time.Duration) error {
	rt, err := s.o.Plugins.Runtime()
	if err != nil {
		return err
	}
	execer, ok := rt.(runtime.Execer)
	if !ok {
		return errs.Unimplemented("the runtime plugin can't run commands in containers")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	res, err := execer.Exec(ctx, &pluginv1.ExecStart{ContainerId: container, Command: command, Stdin: in != nil, Tty: tty},
		streams(ctx, in, out, errOut, resize))
	if err != nil {
		return err
	}
	if res.ExitCode != 0 {
		return utilexec.CodeExitError{Err: fmt.Errorf("exit status %d", res.ExitCode), Code: int(res.ExitCode)}
	}
	return nil
}

func streams(ctx context.Context, in io.Reader, out, errOut io.WriteCloser, resize <-chan remotecommand.TerminalSize) runtime.Streams {
	st := runtime.Streams{Stdin: in}
	// Not assigned as they are: an interface that holds nil is not nil.
	if out != nil {
		st.Stdout = out
	}
	if errOut != nil {
		st.Stderr = errOut
	}
	if resize == nil {
		return st
	}
	sizes := make(chan *pluginv1.TerminalSize)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case size, ok := <-resize:
				if !ok {
					return
				}
				select {
				case sizes <- &pluginv1.TerminalSize{Width: uint32(size.Width), Height: uint32(size.Height)}:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	st.Resize = sizes
	return st
}

func (s *Server) attach(w http.ResponseWriter, r *http.Request) {
	c, fail := s.running(r)
	if fail != nil {
		fail.answer(w)
		return
	}
	o, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeAttach(w, r, s, "", "", c.Id, o, streamIdle, streamCreation, remotecommand.SupportedStreamingProtocols)
}

// AttachContainer joins a container's streams for ServeAttach.
func (s *Server) AttachContainer(ctx context.Context, _, _ string, container string, in io.Reader, out, errOut io.WriteCloser, _ bool, resize <-chan remotecommand.TerminalSize) error {
	rt, err := s.o.Plugins.Runtime()
	if err != nil {
		return err
	}
	attacher, ok := rt.(runtime.Attacher)
	if !ok {
		return errs.Unimplemented("the runtime plugin can't attach to containers")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_, err = attacher.Attach(ctx, &pluginv1.AttachStart{ContainerId: container}, streams(ctx, in, out, errOut, resize))
	return err
}

// run answers with a command's output, as the kubelet's /run does.
func (s *Server) run(w http.ResponseWriter, r *http.Request) {
	c, fail := s.running(r)
	if fail != nil {
		fail.answer(w)
		return
	}
	var out capped
	err := s.ExecInContainer(r.Context(), "", "", c.Id, r.URL.Query()["cmd"], nil, &out, &out, false, nil, 0)
	if err != nil {
		http.Error(w, out.b.String()+errs.Text(err), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(out.b.Bytes())
}

// capped keeps the beginning of what is written.
type capped struct{ b bytes.Buffer }

func (c *capped) Write(p []byte) (int, error) {
	if room := maxRunOutput - c.b.Len(); room > 0 {
		c.b.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (c *capped) Close() error { return nil }

func (s *Server) portForward(w http.ResponseWriter, r *http.Request) {
	pod, fail := s.pod(r)
	if fail != nil {
		fail.answer(w)
		return
	}
	o, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, s, pod.Name, string(pod.UID), o, streamIdle, streamCreation, portforward.SupportedProtocols)
}

// PortForward connects a stream to a port inside the pod's network.
func (s *Server) PortForward(ctx context.Context, name, uid string, port int32, stream io.ReadWriteCloser) error {
	namespace, err := s.networkNamespace(uid)
	if err != nil {
		return err
	}
	dialCtx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := dialIn(dialCtx, namespace, strconv.Itoa(int(port)))
	if err != nil {
		return fmt.Errorf("connecting to port %d inside pod %s: %w", port, name, err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	sent := make(chan struct{})
	go func() {
		_, _ = io.Copy(conn, stream) // its end shows in the other direction
		if c, ok := conn.(*net.TCPConn); ok {
			_ = c.CloseWrite()
		}
		close(sent)
	}()
	_, err = io.Copy(stream, conn)
	if err != nil {
		return err
	}
	select {
	case <-sent:
	case <-ctx.Done():
	case <-time.After(time.Second):
		// The pod has closed; the client need not.
	}
	return nil
}

// networkNamespace of a pod; empty for the node's own.
func (s *Server) networkNamespace(uid string) (string, error) {
	for _, sb := range s.o.View.Pod(podUID(uid)).Sandboxes {
		if sb.State == pluginv1.Sandbox_STATE_READY {
			return sb.NetworkNamespace, nil
		}
	}
	return "", errs.FailedPrecondition("the pod has no running sandbox")
}
