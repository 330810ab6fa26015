package apiserver

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/apiserver/internal/request"
	"github.com/pintle-io/pintle/core/auth"
)

// call is one request on its way.
type call struct {
	s        *Server
	w        responseWriter
	r        *http.Request
	info     request.Info
	user     auth.User
	class    class
	resource *resource
	warnings api.Warnings
	begun    time.Time
}

// ServeHTTP serves one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{s: s, w: responseWriter{ResponseWriter: w}, r: r, begun: time.Now()}
	c.info = request.Parse(r, nil)
	if c.info.IsResource {
		c.resource = s.resources[resourceKey{c.info.Group, c.info.Version, c.info.Resource}]
	}
	defer c.finish()
	if err := c.serve(); err != nil {
		c.fail(err)
	}
}

func (c *call) serve() error {
	s, r := c.s, c.r
	user, err := s.authenticate(r)
	if err != nil {
		return err
	}
	c.user = user
	if c.info.IsResource && anonymous(user) {
		return apierrors.NewUnauthorized("Unauthorized")
	}
	if r.Header.Get("Impersonate-User") != "" {
		return apierrors.NewBadRequest("impersonation (--as, Impersonate-User) is not served")
	}

	var weight int64
	c.class, weight = classify(r, &c.info)
	if !s.seats[c.class].take(weight) {
		return tooMany(c.class)
	}
	defer s.seats[c.class].leave(weight)

	ctx := api.WithWarnings(auth.WithUser(r.Context(), user), &c.warnings)
	if !c.class.longRunning() {
		timeout, err := c.timeout()
		if err != nil {
			return err
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
		defer c.cutOff(ctx)()
	}
	c.r = r.WithContext(ctx)

	if c.info.IsResource {
		return c.serveResource()
	}
	return c.servePath()
}

// cutOff makes reading the body fail once the request's time is over, and
// after StallTimeout writing the answer: a client that stops sending or reading must
// not keep its place for ever. What it returns ends that.
func (c *call) cutOff(ctx context.Context) (stop func()) {
	control := http.NewResponseController(c.w.ResponseWriter)
	done := make(chan struct{})
	cancelled := context.AfterFunc(ctx, func() {
		defer close(done)
		// An in-process connection has no deadlines; it ends with its context.
		_ = control.SetReadDeadline(time.Unix(1, 0))
		_ = control.SetWriteDeadline(time.Now().Add(c.s.opts.StallTimeout))
	})
	return func() {
		if cancelled() {
			return
		}
		<-done
		// net/http sets the deadline for reading anew for each request, the one
		// for writing not.
		_ = control.SetWriteDeadline(time.Time{})
	}
}

// timeout is the server's, or the client's where that is shorter.
func (c *call) timeout() (time.Duration, error) {
	if c.r.URL.RawQuery == "" {
		return c.s.opts.RequestTimeout, nil
	}
	text := c.r.URL.Query().Get("timeout")
	if text == "" {
		return c.s.opts.RequestTimeout, nil
	}
	timeout, err := time.ParseDuration(text)
	if err != nil || timeout < 0 {
		return 0, apierrors.NewBadRequest("invalid timeout specified in the request URL: " + text)
	}
	if timeout == 0 {
		return c.s.opts.RequestTimeout, nil
	}
	return min(timeout, c.s.opts.RequestTimeout), nil
}

// finish recovers a panic, so that one bad request costs itself alone, and
// accounts for the request.
func (c *call) finish() {
	if p := recover(); p != nil {
		if p == http.ErrAbortHandler {
			c.s.metrics.observe(c)
			panic(p)
		}
		c.s.log.Error("request panicked: please report this",
			"method", c.r.Method, "path", c.r.URL.Path, "user", c.user.Name, "panic", p, "stack", string(debug.Stack()))
		if c.w.code == 0 && !c.w.hijacked {
			c.fail(apierrors.NewInternalError(errors.New("this request caused a panic, which is in the server's log")))
		} else if !c.w.hijacked {
			c.s.metrics.observe(c)
			// What was sent is not all: the connection must not look complete.
			panic(http.ErrAbortHandler)
		}
	}
	c.s.metrics.observe(c)
	if c.s.log.Enabled(context.Background(), slog.LevelDebug) {
		c.s.log.Debug("request", "method", c.r.Method, "uri", c.r.URL.RequestURI(), "code", c.w.code, "bytes", c.w.written,
			"took", time.Since(c.begun), "user", c.user.Name, "agent", c.r.UserAgent(), "from", c.r.RemoteAddr)
	}
}
