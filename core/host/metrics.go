package host

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the host's own; each has the labels type and name.
type metrics struct {
	registerer prometheus.Registerer
	collectors []prometheus.Collector

	up           *prometheus.GaugeVec
	starts       *prometheus.CounterVec
	startSeconds *prometheus.HistogramVec
	restarts     *prometheus.CounterVec
	healthFailed *prometheus.CounterVec
	linesDropped *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	labels := []string{"type", "name"}
	counter := func(name, help string, more ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "pintle", Subsystem: "plugin", Name: name, Help: help,
		}, append(append([]string{}, labels...), more...))
	}
	m := &metrics{
		registerer: r,
		up: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "pintle", Subsystem: "plugin", Name: "up", Help: "Whether the plugin has a running process that passed its checks.",
		}, labels),
		starts: counter("starts_total", "Attempts to start the plugin, by result.", "result"),
		startSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "pintle", Subsystem: "plugin", Name: "start_seconds",
			Help:    "Time from start to a plugin that passed its checks.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 12),
		}, labels),
		restarts:     counter("restarts_total", "Starts of the plugin that followed a failure."),
		healthFailed: counter("health_failures_total", "Health checks that the plugin did not answer."),
		linesDropped: counter("log_lines_dropped_total", "Lines of the plugin's log over the rate limit."),
	}
	m.collectors = []prometheus.Collector{m.up, m.starts, m.startSeconds, m.restarts, m.healthFailed, m.linesDropped}
	if r == nil {
		return m, nil
	}
	for i, c := range m.collectors {
		if err := r.Register(c); err != nil {
			for _, registered := range m.collectors[:i] {
				r.Unregister(registered)
			}
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) unregister() {
	if m.registerer == nil {
		return
	}
	for _, c := range m.collectors {
		m.registerer.Unregister(c)
	}
}
