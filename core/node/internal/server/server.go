package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pintle-io/pintle/core/auth"
	"github.com/pintle-io/pintle/core/node/internal/plugins"
	"github.com/pintle-io/pintle/core/node/internal/runtimeview"
)

const (
	headerTimeout   = 10 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 5 * time.Second
	maxHeader       = 64 << 10
)

// Options of a Server.
type Options struct {
	// Pods of the node, and one by its name.
	Pods     func() []*corev1.Pod
	Find     func(namespace, name string) *corev1.Pod
	View     *runtimeview.View
	Plugins  plugins.Lookup
	NodeName string
	// RootDir is the disk that the node's statistics are about.
	RootDir  string
	Gatherer prometheus.Gatherer
	Log      *slog.Logger
}

// Server of the node.
type Server struct{ o Options }

// New makes a Server.
func New(o Options) *Server { return &Server{o: o} }

// Serve until ctx ends.
func (s *Server) Serve(ctx context.Context, l net.Listener, config *tls.Config) error {
	config = config.Clone()
	config.ClientAuth = tls.RequireAndVerifyClientCert
	config.NextProtos = []string{"http/1.1"}
	config.MinVersion = tls.VersionTLS12
	h := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog:    slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if err := h.Shutdown(grace); err != nil {
			_ = h.Close() // streams that do not end by themselves
		}
	})
	defer stop()
	if err := h.Serve(tls.NewListener(l, config)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Handler of all paths.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	mux.HandleFunc("GET /pods", s.pods)
	mux.HandleFunc("GET /pods/{$}", s.pods)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", s.logs)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		mux.HandleFunc(method+" /exec/{namespace}/{pod}/{container}", s.exec)
		mux.HandleFunc(method+" /exec/{namespace}/{pod}/{uid}/{container}", s.exec)
		mux.HandleFunc(method+" /attach/{namespace}/{pod}/{container}", s.attach)
		mux.HandleFunc(method+" /attach/{namespace}/{pod}/{uid}/{container}", s.attach)
		mux.HandleFunc(method+" /portForward/{namespace}/{pod}", s.portForward)
		mux.HandleFunc(method+" /portForward/{namespace}/{pod}/{uid}", s.portForward)
	}
	mux.HandleFunc("POST /run/{namespace}/{pod}/{container}", s.run)
	mux.HandleFunc("GET /images", s.listImages)
	mux.HandleFunc("POST /images", s.importImage)
	mux.HandleFunc("DELETE /images", s.removeImage)
	mux.HandleFunc("GET /stats/summary", s.summary)
	if s.o.Gatherer != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(s.o.Gatherer, promhttp.HandlerOpts{}))
	}
	return s.authorized(mux)
}

// authorized lets the API server and administrators in.
func (s *Server) authorized(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, ok := auth.UserFromTLS(r.TLS)
		if !ok {
			http.Error(w, "a client certificate of the cluster's authority is needed", http.StatusUnauthorized)
			return
		}
		if u.Name != auth.UserAPIServer && !slices.Contains(u.Groups, auth.GroupMasters) {
			s.o.Log.Info("a request to the node was refused", "user", u.Name, "path", r.URL.Path)
			http.Error(w, "user "+u.Name+" may not reach the node's endpoint", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) pods(w http.ResponseWriter, _ *http.Request) {
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}}
	for _, p := range s.o.Pods() {
		list.Items = append(list.Items, *p)
	}
	s.answer(w, &list)
}

func (s *Server) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.o.Log.Debug("answering a request failed", "error", err)
	}
}
