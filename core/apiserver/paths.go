package apiserver

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/pintle-io/pintle/core/apiserver/internal/discovery"
	"github.com/pintle-io/pintle/core/apiserver/internal/openapi"
	"github.com/pintle-io/pintle/core/auth"
)

// paths serves what is no resource.
type paths struct {
	discovery *discovery.Handler
	openapi   *openapi.Handler
	metrics   http.Handler
}

func newPaths(s *Server) (*paths, error) {
	kinds := s.api.Kinds()
	d, err := discovery.New(kinds, s.opts.Address)
	if err != nil {
		return nil, err
	}
	return &paths{
		discovery: d,
		openapi:   openapi.New(kinds, s.opts.Version.GitVersion),
		metrics: promhttp.HandlerFor(s.opts.Registry, promhttp.HandlerOpts{
			MaxRequestsInFlight: 8, DisableCompression: true,
		}),
	}, nil
}

// freePath tells which paths must be answered by a server that is full.
func freePath(path string) bool {
	switch path {
	case "/livez", "/readyz", "/healthz", "/version", "/metrics":
		return true
	}
	return strings.HasPrefix(path, "/livez/") || strings.HasPrefix(path, "/readyz/") || strings.HasPrefix(path, "/healthz/") ||
		strings.HasPrefix(path, "/debug/pprof")
}

// CACertsPath serves the authority's certificate, for whoever compares it with
// a fingerprint that was learned elsewhere.
const CACertsPath = "/cacerts"

// servePath serves a path that is no resource.
func (c *call) servePath() error {
	path := c.r.URL.Path
	// Who has no certificate yet needs these, and they tell nothing secret: the
	// join endpoint checks its token itself.
	switch path {
	case auth.JoinPath:
		return c.join()
	case CACertsPath:
		return c.caCerts()
	}
	if err := c.authorizePath(); err != nil {
		return err
	}
	switch {
	case path == "/version" || path == "/version/":
		return c.readOnly(func() error { return c.version() })
	case isHealth(path):
		return c.readOnly(func() error { return c.health() })
	case path == "/metrics":
		return c.readOnly(func() error { c.s.paths.metrics.ServeHTTP(&c.w, c.r); return nil })
	case c.s.paths.discovery.Serves(path):
		return c.readOnly(func() error { return c.s.paths.discovery.ServeHTTP(&c.w, c.r) })
	case path == "/openapi/v2" || path == "/openapi/v3" || strings.HasPrefix(path, "/openapi/v3/"):
		return c.readOnly(func() error { return c.s.paths.openapi.ServeHTTP(&c.w, c.r) })
	case strings.HasPrefix(path, "/debug/pprof"):
		return c.pprof()
	case path == "/":
		return c.readOnly(func() error { return c.index() })
	}
	return notServed()
}

// readOnly serves paths that can be read and no more.
func (c *call) readOnly(serve func() error) error {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		return c.notAllowed()
	}
	return serve()
}

func (c *call) authorizePath() error {
	allowed, reason, err := c.s.api.Authorizer().Authorize(c.r.Context(), auth.Attributes{
		User: c.user, Verb: c.info.Verb, Path: c.r.URL.Path,
	})
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("authorize %s of %s: %w", c.info.Verb, c.r.URL.Path, err))
	}
	if allowed {
		return nil
	}
	if anonymous(c.user) {
		return apierrors.NewUnauthorized("Unauthorized")
	}
	return c.forbidden(reason)
}

func (c *call) pprof() error {
	name := strings.TrimPrefix(strings.TrimPrefix(c.r.URL.Path, "/debug/pprof"), "/")
	switch name {
	case "":
		pprof.Index(&c.w, c.r)
	case "cmdline":
		pprof.Cmdline(&c.w, c.r)
	case "profile":
		pprof.Profile(&c.w, c.r)
	case "symbol":
		pprof.Symbol(&c.w, c.r)
	case "trace":
		pprof.Trace(&c.w, c.r)
	default:
		pprof.Handler(name).ServeHTTP(&c.w, c.r)
	}
	return nil
}
