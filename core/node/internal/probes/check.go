package probes

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
	"google.golang.org/protobuf/types/known/durationpb"
)

type outcome int

const (
	unknown outcome = iota
	success
	failure
)

const (
	// maxOutput of a probe goes into an event.
	maxOutput = 1 << 10
	// maxBody of an answer is read, so that the connection can be closed well.
	maxBody   = 10 << 10
	userAgent = "kube-probe/1.37"
)

// check makes a probe once.
func (s *Set) check(ctx context.Context, p *corev1.Probe, c *corev1.Container, t Target) (outcome, string) {
	switch {
	case p.Exec != nil:
		return s.exec(ctx, p.Exec.Command, t.ContainerID)
	case p.HTTPGet != nil:
		return httpGet(ctx, p.HTTPGet, c, t.IP)
	case p.TCPSocket != nil:
		host := p.TCPSocket.Host
		if host == "" {
			host = t.IP
		}
		port, err := Port(p.TCPSocket.Port, c)
		if err != nil {
			return failure, err.Error()
		}
		return tcp(ctx, net.JoinHostPort(host, strconv.Itoa(port)))
	case p.GRPC != nil:
		return grpcHealth(ctx, net.JoinHostPort(t.IP, strconv.Itoa(int(p.GRPC.Port))), p.GRPC.Service)
	}
	return failure, "the probe has no action that this node knows"
}

func (s *Set) exec(ctx context.Context, command []string, id string) (outcome, string) {
	rt, err := s.o.Plugins.Runtime()
	if err != nil {
		return unknown, err.Error()
	}
	execer, ok := rt.(runtime.Execer)
	if !ok {
		return failure, "the runtime plugin can't run commands in containers"
	}
	var out limited
	start := &pluginv1.ExecStart{ContainerId: id, Command: command}
	if deadline, ok := ctx.Deadline(); ok {
		start.Timeout = durationpb.New(time.Until(deadline))
		// The runtime ends the command and tells; the context is only for a
		// runtime that doesn't.
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(context.WithoutCancel(ctx), deadline.Add(5*time.Second))
		defer cancel()
	}
	res, err := execer.Exec(ctx, start, runtime.Streams{Stdout: &out, Stderr: &out})
	switch {
	case err == nil && res.TimedOut:
		return failure, fmt.Sprintf("command timed out: %q", strings.Join(command, " "))
	case err == nil && res.ExitCode == 0:
		return success, out.String()
	case err == nil:
		return failure, out.String()
	}
	switch errs.ClassOf(err) {
	case errs.ClassPluginGone, errs.ClassUnavailable, errs.ClassCanceled, errs.ClassFailedPrecondition, errs.ClassNotFound:
		return unknown, err.Error()
	}
	return failure, errs.Text(err)
}

// limited keeps the beginning of what is written to it.
type limited struct{ b bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := maxOutput - l.b.Len(); room > 0 {
		l.b.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}
func (l *limited) String() string { return l.b.String() }

// Port resolves a port that may be the name of one of the container's.
func Port(p intstr.IntOrString, c *corev1.Container) (int, error) {
	if p.Type == intstr.Int {
		return p.IntValue(), nil
	}
	for _, cp := range c.Ports {
		if cp.Name == p.StrVal {
			return int(cp.ContainerPort), nil
		}
	}
	if n, err := strconv.Atoi(p.StrVal); err == nil {
		return n, nil
	}
	return 0, fmt.Errorf("container %s has no port named %q", c.Name, p.StrVal)
}

// Request makes the HTTP request of a probe or hook.
func Request(ctx context.Context, a *corev1.HTTPGetAction, c *corev1.Container, ip string) (*http.Request, error) {
	host := a.Host
	if host == "" {
		host = ip
	}
	port, err := Port(a.Port, c)
	if err != nil {
		return nil, err
	}
	scheme := strings.ToLower(string(a.Scheme))
	if scheme == "" {
		scheme = "http"
	}
	path := a.Path
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	target, err := url.Parse(path)
	if err != nil {
		target = &url.URL{Path: path}
	}
	target.Scheme, target.Host = scheme, net.JoinHostPort(host, strconv.Itoa(port))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", "*/*")
	for _, h := range a.HTTPHeaders {
		if strings.EqualFold(h.Name, "host") {
			req.Host = h.Value
			continue
		}
		req.Header.Add(h.Name, h.Value)
	}
	return req, nil
}

// Client makes connections that are not reused and does not verify
// certificates, as Kubernetes documents for probes. Redirects to another host
// are not followed.
func Client() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true, DisableCompression: true, Proxy: nil,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // documented for probes
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if req.URL.Hostname() != via[0].URL.Hostname() {
				return http.ErrUseLastResponse
			}
			if len(via) >= 10 {
				return errors.New("stopped after 10 redirects")
			}
			return nil
		},
	}
}

func httpGet(ctx context.Context, a *corev1.HTTPGetAction, c *corev1.Container, ip string) (outcome, string) {
	req, err := Request(ctx, a, c, ip)
	if err != nil {
		return failure, err.Error()
	}
	res, err := Client().Do(req)
	if err != nil {
		return failure, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.CopyN(io.Discard, res.Body, maxBody) // what is there is enough
	if res.StatusCode >= http.StatusOK && res.StatusCode < http.StatusBadRequest {
		return success, ""
	}
	return failure, fmt.Sprintf("HTTP probe failed with statuscode: %d", res.StatusCode)
}

func tcp(ctx context.Context, address string) (outcome, string) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return failure, err.Error()
	}
	_ = conn.Close()
	return success, ""
}

func grpcHealth(ctx context.Context, address string, service *string) (outcome, string) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUserAgent(userAgent), grpc.WithNoProxy())
	if err != nil {
		return failure, err.Error()
	}
	defer func() { _ = conn.Close() }()
	req := &healthv1.HealthCheckRequest{}
	if service != nil {
		req.Service = *service
	}
	res, err := healthv1.NewHealthClient(conn).Check(ctx, req, grpc.WaitForReady(true))
	if err != nil {
		return failure, fmt.Sprintf("gRPC health check of %s: %v", address, err)
	}
	if res.Status != healthv1.HealthCheckResponse_SERVING {
		return failure, fmt.Sprintf("service unhealthy (responded with %q)", res.Status)
	}
	return success, ""
}
