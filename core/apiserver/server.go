package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/pintle-io/pintle/core/api"
)

// Server serves the API. It is an http.Handler and is safe for concurrent use.
type Server struct {
	opts      Options
	api       *api.Service
	log       *slog.Logger
	resources map[resourceKey]*resource
	paths     *paths
	nodes     *nodeClient
	metrics   *metrics
	seats     [len(classNames)]*seats
	bodies    *semaphore.Weighted
	watchdog  *watchdog
	// draining ends when the server is about to stop, and with it every watch.
	draining context.Context
	drain    context.CancelFunc
}

// New makes a Server. Close ends what it runs.
func New(opts Options) (*Server, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	s := &Server{
		opts:      opts,
		api:       opts.API,
		log:       opts.Logger,
		resources: map[resourceKey]*resource{},
		bodies:    semaphore.NewWeighted(opts.BodyMemory),
	}
	s.draining, s.drain = context.WithCancel(context.Background())
	var err error
	if s.metrics, err = newMetrics(opts.Registry, s.inFlight); err != nil {
		return nil, fmt.Errorf("make an API server: register metrics: %w", err)
	}
	for c, limit := range [...]int{classRead: opts.MaxReads, classWrite: opts.MaxWrites, classWatch: opts.MaxWatches, classStream: opts.MaxStreams, classFree: 0} {
		s.seats[c] = &seats{limit: int64(limit), rejected: s.metrics.rejected.WithLabelValues(classNames[c])}
	}
	for _, k := range s.api.Kinds().Kinds() {
		res := newResource(k)
		res.metrics = s.metrics.ofResource(k.GVK.Group, k.Resource)
		s.resources[resourceKey{k.GVK.Group, k.GVK.Version, k.Resource}] = res
	}
	if s.paths, err = newPaths(s); err != nil {
		return nil, fmt.Errorf("make an API server: %w", err)
	}
	s.nodes = newNodeClient(s)
	s.watchdog = newWatchdog(opts.StallTimeout)
	return s, nil
}

func (s *Server) inFlight(c class) float64 { return float64(s.seats[c].taken.Load()) }

// Handler returns the server as what serves requests.
func (s *Server) Handler() http.Handler { return s }

// Drain ends all watches and turns /readyz to failing; requests that come
// are still served.
func (s *Server) Drain() { s.drain() }

// Close ends watches and the server's own goroutines.
func (s *Server) Close() {
	s.drain()
	s.watchdog.close()
	s.nodes.close()
}

// shutdownTimeout is how long requests in flight may take once the server
// stops; exec and log streams are cut off then.
const shutdownTimeout = 10 * time.Second

// Serve serves TLS on a listener until the context ends, then lets the
// requests in flight finish. The configuration must ask for client
// certificates (tls.VerifyClientCertIfGiven).
func (s *Server) Serve(ctx context.Context, listener net.Listener, config *tls.Config) error {
	config = config.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	server := &http.Server{
		Handler:           s,
		TLSConfig:         config,
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       90 * time.Second,
		MaxHeaderBytes:    1 << 20,
		// Per connection: 250 requests at a time, and what a client may send
		// ahead of being read.
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          250,
			MaxReceiveBufferPerStream:     256 << 10,
			MaxReceiveBufferPerConnection: 1 << 20,
			SendPingTimeout:               30 * time.Second,
			PingTimeout:                   15 * time.Second,
			WriteByteTimeout:              60 * time.Second,
		},
		ErrorLog: log.New(&connectionLog{s.log}, "", 0),
	}
	s.log.Info("serving the API", "address", listener.Addr().String())

	stopped := make(chan error, 1)
	release := context.AfterFunc(ctx, func() {
		s.drain()
		grace, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		err := server.Shutdown(grace)
		if errors.Is(err, context.DeadlineExceeded) {
			s.log.Warn("requests in flight were cut off by the stop", "waited", shutdownTimeout)
			err = server.Close()
		}
		stopped <- err
	})
	err := server.ServeTLS(listener, "", "")
	if release() {
		// Serving failed by itself.
		_ = server.Close()
		return fmt.Errorf("serve the API on %s: %w", listener.Addr(), err)
	}
	if err := <-stopped; err != nil {
		return fmt.Errorf("stop serving the API on %s: %w", listener.Addr(), err)
	}
	return nil
}

// connectionLog takes net/http's complaints about connections, most of which
// are port scanners and clients without the authority's certificate.
type connectionLog struct{ log *slog.Logger }

func (l *connectionLog) Write(p []byte) (int, error) {
	l.log.Debug("connection", "message", string(p))
	return len(p), nil
}
