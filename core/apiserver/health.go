package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// checkTimeout bounds each health check.
const checkTimeout = 5 * time.Second

// checks are asked by the health endpoints, in order.
func (s *Server) checks() []Check {
	list := []Check{
		{Name: "ping", Live: true, Check: func(*http.Request) error { return nil }},
		{Name: "store", Live: false, Check: func(r *http.Request) error {
			_, err := s.api.Revision(r.Context())
			return err
		}},
		{Name: "shutdown", Check: func(*http.Request) error {
			if s.draining.Err() != nil {
				return errors.New("the server is stopping")
			}
			return nil
		}},
	}
	return append(list, s.opts.Checks...)
}

func isHealth(path string) bool {
	name, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return name == "livez" || name == "readyz" || name == "healthz"
}

// health serves /livez, /readyz and /healthz with ?verbose and ?exclude, and
// each check on its own below them, in Kubernetes' words.
func (c *call) health() error {
	endpoint, single, one := strings.Cut(strings.Trim(c.r.URL.Path, "/"), "/")
	query := c.r.URL.Query()
	excluded := query["exclude"]
	_, verbose := query["verbose"]

	var text bytes.Buffer
	var failed []string
	found := false
	for _, check := range c.s.checks() {
		switch {
		case one && check.Name != single, !one && endpoint == "livez" && !check.Live:
			continue
		case slices.Contains(excluded, check.Name):
			fmt.Fprintf(&text, "[+]%s excluded: ok\n", check.Name)
			continue
		}
		found = true
		if err := c.runCheck(check); err != nil {
			fmt.Fprintf(&text, "[-]%s failed: %v\n", check.Name, err)
			failed = append(failed, check.Name)
			continue
		}
		fmt.Fprintf(&text, "[+]%s ok\n", check.Name)
	}
	if one && !found {
		return notServed()
	}

	header := c.w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-cache, private")
	switch {
	case len(failed) > 0:
		c.s.log.Warn("health check failed", "endpoint", endpoint, "failed", failed)
		c.w.WriteHeader(http.StatusInternalServerError)
		if anonymous(c.user) {
			// What is wrong is for those who may ask.
			text.Reset()
		}
		fmt.Fprintf(&text, "%s check failed\n", endpoint)
		_, _ = c.w.Write(text.Bytes())
	case verbose:
		fmt.Fprintf(&text, "%s check passed\n", endpoint)
		_, _ = c.w.Write(text.Bytes())
	default:
		_, _ = c.w.Write([]byte("ok"))
	}
	return nil
}

func (c *call) runCheck(check Check) error {
	ctx, cancel := context.WithTimeout(c.r.Context(), checkTimeout)
	defer cancel()
	return check.Check(c.r.WithContext(ctx))
}
