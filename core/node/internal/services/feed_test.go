package services

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"

	"github.com/pintle-io/pintle/core/node/internal/nodetest"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/proxy"
)

func service(name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
		Spec:       corev1.ServiceSpec{ClusterIP: "10.96.0.5", ClusterIPs: []string{"10.96.0.5"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}
}

func slice(endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	name, port := "http", int32(8080)
	return &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, Endpoints: endpoints, Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port}}}
}

func TestBuild(t *testing.T) {
	yes, no, here := true, false, "me"
	s := slice(
		discoveryv1.Endpoint{Addresses: []string{"10.0.0.2"}, NodeName: &here},
		discoveryv1.Endpoint{Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: &yes}},
		discoveryv1.Endpoint{Addresses: []string{"10.0.0.3"}, Conditions: discoveryv1.EndpointConditions{Ready: &no, Serving: &yes, Terminating: &yes}},
		discoveryv1.Endpoint{Addresses: []string{"10.0.0.4"}, Conditions: discoveryv1.EndpointConditions{Ready: &no}},
	)
	got := Build(service("web"), []*discoveryv1.EndpointSlice{s}, "me")
	e := got.Ports[0].Endpoints
	if len(e) != 3 || e[0].Address != "10.0.0.1" || e[0].Local || !e[1].Local || !e[1].Ready || e[2].Ready || !e[2].ServingTerminating || e[0].Port != 8080 {
		t.Errorf("endpoints %v", e)
	}
	headless := service("h")
	headless.Spec.ClusterIP = "None"
	if Build(headless, nil, "me") != nil {
		t.Error("a headless service has rules")
	}
}

// source and proxy in memory.
type source struct {
	mu sync.Mutex
	m  map[string]*corev1.Service
}

func (s *source) Synced() bool { return true }
func (s *source) Keys() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.m {
		out = append(out, k)
	}
	return out
}
func (s *source) Service(key string) *corev1.Service {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[key]
}
func (s *source) Slices(string) []*discoveryv1.EndpointSlice { return nil }

type fakeProxy struct{ streams chan *stream }

type stream struct {
	ctx context.Context
	in  chan *pluginv1.SyncProxyRequest
	out chan *pluginv1.SyncProxyResponse
	die chan struct{}
}

func (f *fakeProxy) Sync(ctx context.Context) (proxy.Stream, error) {
	s := &stream{ctx, make(chan *pluginv1.SyncProxyRequest, 16), make(chan *pluginv1.SyncProxyResponse), make(chan struct{})}
	f.streams <- s
	return s, nil
}
func (f *fakeProxy) Leave(context.Context) error { return nil }
func (s *stream) Send(r *pluginv1.SyncProxyRequest) error {
	s.in <- r
	return nil
}
func (s *stream) Recv() (*pluginv1.SyncProxyResponse, error) {
	select {
	case r := <-s.out:
		return r, nil
	case <-s.die:
		return nil, errors.New("the plugin died")
	case <-s.ctx.Done():
		return nil, io.EOF
	}
}
func (s *stream) CloseSend() error { return nil }

func take[T any](t *testing.T, c chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

func TestFeed(t *testing.T) {
	src := &source{m: map[string]*corev1.Service{"ns/a": service("a"), "ns/b": service("b")}}
	p := &fakeProxy{streams: make(chan *stream, 4)}
	lookup := nodetest.NewPlugins(nil, nil)
	lookup.SetProxy(p)
	f := NewFeed(lookup, src, "me", record.NewFakeRecorder(10), slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { f.Run(ctx); close(done) }()
	defer func() { cancel(); <-done }()

	s := take(t, p.streams, "stream")
	if r := take(t, s.in, "first request"); !r.Full || len(r.Set) != 2 {
		t.Errorf("first request %v", r)
	}
	// While the first is not acknowledged, changes gather.
	src.mu.Lock()
	delete(src.m, "ns/a")
	src.mu.Unlock()
	f.Changed("ns/a")
	f.Changed("ns/b")
	f.Changed("ns/b")
	select {
	case r := <-s.in:
		t.Errorf("sent before the acknowledgement: %v", r)
	case <-time.After(50 * time.Millisecond):
	}
	s.out <- &pluginv1.SyncProxyResponse{Revision: 1}
	if r := take(t, s.in, "changes"); r.Full || len(r.Set) != 1 || len(r.Removed) != 1 || r.Removed[0] != "ns/a" || r.Revision != 2 {
		t.Errorf("changes %v", r)
	}
	s.out <- &pluginv1.SyncProxyResponse{Revision: 2, Errors: map[string]string{"ns/b": "no such module"}}
	close(s.die)
	s = take(t, p.streams, "second stream")
	if r := take(t, s.in, "whole state"); !r.Full || len(r.Set) != 1 {
		t.Errorf("after the restart %v", r)
	}
}
