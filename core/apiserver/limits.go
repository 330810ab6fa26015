package apiserver

import (
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/pintle-io/pintle/core/apiserver/internal/request"
)

// class of requests that share a bound.
type class uint8

const (
	classRead class = iota
	classWrite
	classWatch
	classStream
	// classFree has no bound: health checks and metrics must answer when the
	// server is full.
	classFree
)

var classNames = [...]string{"read", "write", "watch", "stream", "free"}

func (c class) longRunning() bool { return c == classWatch || c == classStream }

// seats counts the requests of a class.
type seats struct {
	taken    atomic.Int64
	limit    int64
	rejected prometheus.Counter
}

// take returns false where n more would exceed the limit.
func (s *seats) take(n int64) bool {
	if s.taken.Add(n) <= s.limit || s.limit == 0 {
		return true
	}
	s.taken.Add(-n)
	s.rejected.Inc()
	return false
}

func (s *seats) leave(n int64) { s.taken.Add(-n) }

// classify tells which bound a request counts against, and how much. A list
// without a limit may be answered with the whole store, so it weighs more.
func classify(r *http.Request, info *request.Info) (class, int64) {
	if !info.IsResource {
		if freePath(r.URL.Path) {
			return classFree, 0
		}
		return classRead, 1
	}
	switch info.Verb {
	case request.VerbWatch:
		return classWatch, 1
	case request.VerbList:
		if !hasLimit(r.URL.RawQuery) {
			return classRead, wholeListWeight
		}
		return classRead, 1
	}
	switch info.Subresource {
	case "exec", "attach", "portforward", "proxy", "log":
		return classStream, 1
	}
	if info.Verb == request.VerbGet {
		return classRead, 1
	}
	return classWrite, 1
}

const wholeListWeight = 16

// tooMany is the answer of a full server. Clients of Kubernetes wait as told
// and try again by themselves.
func tooMany(c class) error {
	return apierrors.NewTooManyRequests("too many "+classNames[c]+" requests are in flight, please try again later", 1)
}
