package loop

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics of loops. One set serves several runners, which differ by label.
type Metrics struct {
	decisions *prometheus.CounterVec
	actions   *prometheus.CounterVec
	refused   *prometheus.CounterVec
	restarts  *prometheus.CounterVec
	events    *prometheus.CounterVec
	changes   *prometheus.CounterVec
	queue     *prometheus.GaugeVec
	waited    *prometheus.HistogramVec
	decided   *prometheus.HistogramVec
	applied   *prometheus.HistogramVec
}

// NewMetrics makes the metrics and registers them; nil for unregistered ones.
// Those that the registerer has already are shared.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "pintle", Subsystem: "loop", Name: name, Help: help,
		}, append([]string{"loop"}, labels...))
	}
	seconds := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "pintle", Subsystem: "loop", Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9),
		}, []string{"loop"})
	}
	m := &Metrics{
		decisions: counter("decisions_total", "Decisions taken, by result: applied, failed, error, empty, shadow.", "result"),
		actions:   counter("actions_total", "Actions applied or refused, by verb and the API's reason (OK where applied).", "verb", "reason"),
		refused:   counter("refused_decisions_total", "Decisions that answered no work of theirs, by reason.", "reason"),
		restarts:  counter("stream_failures_total", "Streams to the plugin that broke, by cause.", "cause"),
		events:    counter("events_total", "Events of decisions, by result: written, merged, dropped, failed.", "result"),
		changes:   counter("changes_total", "Changes sent to the plugin."),
		queue: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "pintle", Subsystem: "loop", Name: "keys", Help: "Keys by state: ready, waiting, in_flight.",
		}, []string{"loop", "state"}),
		waited:  seconds("queue_seconds", "Time from a key being due to its work being sent."),
		decided: seconds("decision_seconds", "Time from work being sent to its decision."),
		applied: seconds("apply_seconds", "Time that applying a decision took."),
	}
	if r != nil {
		m.decisions, m.actions, m.refused = shared(r, m.decisions), shared(r, m.actions), shared(r, m.refused)
		m.restarts, m.events, m.changes = shared(r, m.restarts), shared(r, m.events), shared(r, m.changes)
		m.waited, m.decided, m.applied = shared(r, m.waited), shared(r, m.decided), shared(r, m.applied)
		m.queue = shared(r, m.queue)
	}
	return m
}

// shared registers a collector, or returns the one that is there under its name.
func shared[C prometheus.Collector](r prometheus.Registerer, c C) C {
	var there prometheus.AlreadyRegisteredError
	switch err := r.Register(c); {
	case errors.As(err, &there):
		return there.ExistingCollector.(C)
	case err != nil:
		panic(err) // the names above are wrong
	}
	return c
}

// gauges sets what is counted at a moment.
func (m *Metrics) gauges(loop string, ready, waiting, inFlight int) {
	m.queue.WithLabelValues(loop, "ready").Set(float64(ready))
	m.queue.WithLabelValues(loop, "waiting").Set(float64(waiting))
	m.queue.WithLabelValues(loop, "in_flight").Set(float64(inFlight))
}

func observe(h *prometheus.HistogramVec, loop string, d time.Duration) {
	h.WithLabelValues(loop).Observe(d.Seconds())
}
