package pods

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pintle-io/pintle/core/node/internal/probes"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
)

// maxHookOutput of a failed hook goes into its event.
const maxHookOutput = 1 << 10

func (s *starter) postStart(ctx context.Context, id string) error {
	if s.c.Lifecycle == nil || s.c.Lifecycle.PostStart == nil {
		return nil
	}
	return s.w.hook(ctx, s.pod, s.c, id, s.c.Lifecycle.PostStart)
}

// hook runs a lifecycle handler to its end.
func (w *worker) hook(ctx context.Context, pod *corev1.Pod, c *corev1.Container, id string, h *corev1.LifecycleHandler) error {
	ip := ""
	if len(pod.Status.PodIPs) > 0 {
		ip = pod.Status.PodIPs[0].IP
	}
	switch {
	case h.Exec != nil:
		return w.execHook(ctx, h.Exec.Command, id)
	case h.HTTPGet != nil:
		req, err := probes.Request(ctx, h.HTTPGet, c, ip)
		if err != nil {
			return err
		}
		res, err := probes.Client().Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = res.Body.Close() }()
		_, _ = io.CopyN(io.Discard, res.Body, maxHookOutput)
		if res.StatusCode < http.StatusOK || res.StatusCode >= http.StatusBadRequest {
			return fmt.Errorf("HTTP hook of %s failed with statuscode: %d", req.URL, res.StatusCode)
		}
		return nil
	case h.TCPSocket != nil:
		host := h.TCPSocket.Host
		if host == "" {
			host = ip
		}
		port, err := probes.Port(h.TCPSocket.Port, c)
		if err != nil {
			return err
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			return err
		}
		return conn.Close()
	case h.Sleep != nil:
		select {
		case <-time.After(time.Duration(h.Sleep.Seconds) * time.Second):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("the hook has no action that this node knows")
}

func (w *worker) execHook(ctx context.Context, command []string, id string) error {
	rt, err := w.m.o.Plugins.Runtime()
	if err != nil {
		return err
	}
	execer, ok := rt.(runtime.Execer)
	if !ok {
		return errs.Unimplemented("the runtime plugin can't run commands in containers")
	}
	var out bytes.Buffer
	sink := writerFunc(func(p []byte) (int, error) {
		if room := maxHookOutput - out.Len(); room > 0 {
			out.Write(p[:min(len(p), room)])
		}
		return len(p), nil
	})
	res, err := execer.Exec(ctx, &pluginv1.ExecStart{ContainerId: id, Command: command}, runtime.Streams{Stdout: sink, Stderr: sink})
	if err != nil {
		return err
	}
	if res.ExitCode != 0 {
		return fmt.Errorf("command %q exited with %d: %s", command, res.ExitCode, out.String())
	}
	return nil
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
