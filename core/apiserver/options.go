package apiserver

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/version"

	"github.com/pintle-io/pintle/core/api"
)

// Options of New. Only API is required.
type Options struct {
	API *api.Service
	// Authenticators are asked in order who makes a request. Client
	// certificates that the TLS layer verified are understood without one.
	Authenticators []Authenticator
	// Join makes certificates for a new node; nil where none may join.
	Join JoinFunc
	// CA is the PEM of the certificate authority, served at /cacerts.
	CA []byte

	// Registry takes the server's metrics and is what /metrics shows; one of
	// its own by default.
	Registry *prometheus.Registry
	Logger   *slog.Logger
	// Version is what /version answers.
	Version version.Info
	// Address is the server's host:port as clients reach it, for discovery.
	Address string
	// Checks are further parts that /readyz and /livez ask for.
	Checks []Check

	// NodeClient is the certificate that the server shows to node agents, and
	// NodeCAs what their certificates are checked against. Without them logs,
	// exec and the like answer 503.
	NodeClient *tls.Certificate
	NodeCAs    *x509.CertPool

	// MaxReads and MaxWrites bound the requests in flight, 1024 each by
	// default; MaxWatches (20,000) and MaxStreams (2,000) what runs long.
	MaxReads, MaxWrites, MaxWatches, MaxStreams int
	// BodyMemory in bytes bounds the bodies being read at one time, 64 MiB by
	// default.
	BodyMemory int64
	// RequestTimeout bounds what does not run long, 60 s by default.
	RequestTimeout time.Duration
	// StallTimeout is how long a watcher may take nothing, and how long any
	// answer may take after the request's time, 30 s by default.
	StallTimeout time.Duration
	// MinWatch is the least time that a watch runs where the client does not
	// say, 30 min by default; up to twice that is chosen at random.
	MinWatch time.Duration
}

func (o *Options) complete() error {
	if o.API == nil {
		return errors.New("make an API server: Options.API must be set")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	setDefault(&o.MaxReads, 1024)
	setDefault(&o.MaxWrites, 1024)
	setDefault(&o.MaxWatches, 20_000)
	setDefault(&o.MaxStreams, 2_000)
	setDefault(&o.BodyMemory, 64<<20)
	setDefault(&o.RequestTimeout, 60*time.Second)
	setDefault(&o.StallTimeout, 30*time.Second)
	setDefault(&o.MinWatch, 30*time.Minute)
	if o.BodyMemory < maxBody {
		o.BodyMemory = maxBody
	}
	o.Version = completeVersion(o.Version)
	return nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Check is one named part of /readyz and /livez.
type Check struct {
	Name  string
	Check func(r *http.Request) error
	// Live is true where a failure means that the process should be restarted.
	Live bool
}
