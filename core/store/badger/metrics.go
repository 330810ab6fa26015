package badger

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the store's. A nil one takes and gives nothing.
type metrics struct {
	registerer prometheus.Registerer
	registered []prometheus.Collector
	batch      prometheus.Histogram
	commit     prometheus.Histogram
}

func newMetrics(s *Store, r prometheus.Registerer) (*metrics, error) {
	if r == nil {
		return nil, nil
	}
	gauge := func(name, help string, fn func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pintle_store_" + name, Help: help}, fn)
	}
	m := &metrics{
		registerer: r,
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pintle_store_batch_writes", Help: "Writes that shared one sync.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pintle_store_commit_seconds", Help: "Time to write a batch and sync it.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}),
	}
	all := []prometheus.Collector{
		m.batch, m.commit,
		gauge("revision", "Revision of the newest write.", func() float64 { return float64(s.visible.Load()) }),
		gauge("compacted_revision", "Oldest revision that can be listed or watched from.", func() float64 { return float64(s.compacted.Load()) }),
		gauge("queue_length", "Writes that wait for the committer.", func() float64 { return float64(len(s.writes)) }),
		gauge("watchers", "Watches that run.", func() float64 { n, _ := s.window.Stats(); return float64(n) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "pintle_store_slow_watchers_total", Help: "Watches that were ended because their reader was too slow."},
			func() float64 { _, n := s.window.Stats(); return float64(n) }),
		gauge("disk_bytes", "Size of the store's tables.", func() float64 { lsm, vlog := s.db.Size(); return float64(lsm + vlog) }),
	}
	for _, c := range all {
		if err := r.Register(c); err != nil {
			m.unregister()
			return nil, errors.Join(errors.New("registering the store's metrics"), err)
		}
		m.registered = append(m.registered, c)
	}
	return m, nil
}

func (m *metrics) unregister() {
	if m == nil {
		return
	}
	for _, c := range m.registered {
		m.registerer.Unregister(c)
	}
}

func (m *metrics) committed(writes int, took time.Duration) {
	if m == nil {
		return
	}
	m.batch.Observe(float64(writes))
	m.commit.Observe(took.Seconds())
}
