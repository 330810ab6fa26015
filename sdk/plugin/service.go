package plugin

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

// service serves the Plugin service for any contract, and holds back the calls
// of the type until the plugin is configured.
type service struct {
	pluginv1.UnimplementedPluginServer

	description    *pluginv1.DescribeResponse
	implementation any

	// first, where set, is called once at the first call.
	first     func()
	firstOnce sync.Once

	configuring sync.Mutex
	configured  atomic.Bool
}

func newService(info Info, c Contract) *service {
	return &service{description: describe(info, c), implementation: c.Implementation()}
}

func (s *service) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	s.begin()
	return s.description, nil
}

func (s *service) begin() {
	if s.first != nil {
		s.firstOnce.Do(s.first)
	}
}

func (s *service) Configure(ctx context.Context, req *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	s.begin()
	s.configuring.Lock()
	defer s.configuring.Unlock()
	if s.configured.Load() {
		return nil, errs.FailedPrecondition("plugin %s is configured already: a new configuration needs a new process", s.description.GetName()).
			WithReason("AlreadyConfigured")
	}
	if configurer, ok := s.implementation.(Configurer); ok {
		if err := configurer.Configure(ctx, req); err != nil {
			return nil, err
		}
	} else if !emptyConfig(req.GetConfig()) {
		return nil, errs.InvalidArgument("configuration: plugin %s takes none", s.description.GetName()).
			WithReason("InvalidConfig")
	}
	s.configured.Store(true)
	return &pluginv1.ConfigureResponse{}, nil
}

func (s *service) Health(ctx context.Context, _ *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	checker, ok := s.implementation.(HealthChecker)
	if !ok {
		return &pluginv1.HealthResponse{Healthy: true}, nil
	}
	if err := checker.Health(ctx); err != nil {
		return &pluginv1.HealthResponse{Message: errs.Text(err)}, nil
	}
	return &pluginv1.HealthResponse{Healthy: true}, nil
}

// admit refuses the calls of the type before Configure.
func (s *service) admit(method string) error {
	if s.configured.Load() || !strings.HasPrefix(method, typePrefix) || strings.HasPrefix(method, pluginPrefix) {
		return nil
	}
	return errs.FailedPrecondition("plugin %s is not configured yet: call Configure before %s", s.description.GetName(), method).
		WithReason("NotConfigured")
}

const (
	typePrefix   = "/pintle.plugin."
	pluginPrefix = "/pintle.plugin.v1.Plugin/"
)

func (s *service) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := s.admit(info.FullMethod); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func (s *service) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if err := s.admit(info.FullMethod); err != nil {
		return err
	}
	return handler(srv, stream)
}
