package apiserver

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pintle-io/pintle/core/apiserver/internal/request"
)

// metrics are the server's. Labels come from the registered kinds and from
// known verbs alone, so that clients can't make new series.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	stalled  prometheus.Counter
	rejected *prometheus.CounterVec
}

// resourceMetrics are the duration observers of one resource, by verb.
type resourceMetrics map[string]prometheus.Observer

var verbs = []string{
	request.VerbGet, request.VerbList, request.VerbWatch, request.VerbCreate, request.VerbUpdate,
	request.VerbPatch, request.VerbDelete, request.VerbDeleteCollection,
}

func newMetrics(r prometheus.Registerer, inFlight func(class) float64) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apiserver_request_total", Help: "Requests by verb, resource, subresource and HTTP code.",
		}, []string{"verb", "group", "resource", "subresource", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "apiserver_request_duration_seconds", Help: "Time to answer requests that do not run long.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"verb", "group", "resource"}),
		stalled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pintle_apiserver_stalled_clients_total", Help: "Watches and streams cut off because their client did not read.",
		}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pintle_apiserver_rejected_requests_total", Help: "Requests answered 429 because too many were in flight.",
		}, []string{"class"}),
	}
	all := []prometheus.Collector{m.requests, m.duration, m.stalled, m.rejected}
	for c, name := range classNames {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pintle_apiserver_requests_in_flight", Help: "Requests in flight by class; a list of everything counts more than once.",
			ConstLabels: prometheus.Labels{"class": name},
		}, func() float64 { return inFlight(class(c)) }))
	}
	for _, c := range all {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) ofResource(group, resource string) resourceMetrics {
	observers := make(resourceMetrics, len(verbs))
	for _, verb := range verbs {
		observers[verb] = m.duration.WithLabelValues(verb, group, resource)
	}
	return observers
}

// observe accounts for a finished request.
func (m *metrics) observe(c *call) {
	if c.resource == nil {
		if !c.info.IsResource {
			m.requests.WithLabelValues(knownMethod(c.info.Verb), "", "", "", codeLabel(c.w.code)).Inc()
		}
		return
	}
	k := c.resource.kind
	subresource := c.info.Subresource
	if _, known := c.resource.subresources[subresource]; !known {
		subresource = ""
	}
	m.requests.WithLabelValues(knownMethod(c.info.Verb), k.GVK.Group, k.Resource, subresource, codeLabel(c.w.code)).Inc()
	if c.class.longRunning() {
		return
	}
	if o := c.resource.metrics[c.info.Verb]; o != nil {
		o.Observe(time.Since(c.begun).Seconds())
	}
}

// codeLabel avoids an allocation for the common codes, and answers 0 for a
// connection that ended without an answer.
func codeLabel(code int) string {
	switch code {
	case 200:
		return "200"
	case 201:
		return "201"
	case 404:
		return "404"
	case 409:
		return "409"
	}
	if code < 100 || code > 599 {
		return "0"
	}
	return strconv.Itoa(code)
}

func knownMethod(verb string) string {
	switch verb {
	case request.VerbGet, request.VerbList, request.VerbWatch, request.VerbCreate, request.VerbUpdate,
		request.VerbPatch, request.VerbDelete, request.VerbDeleteCollection, "post", "put", "head", "options":
		return verb
	}
	return "other"
}
