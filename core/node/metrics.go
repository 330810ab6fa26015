package node

import (
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// collector counts what is on the node when it is asked.
type collector struct {
	pods, containers, ready *prometheus.Desc
	p                       *parts
}

func (a *Agent) registerMetrics(p *parts) {
	if a.o.Metrics == nil {
		return
	}
	labels := prometheus.Labels{"node": a.o.Name}
	c := &collector{
		pods:       prometheus.NewDesc("pintle_node_pods", "Pods on the node by phase.", []string{"phase"}, labels),
		containers: prometheus.NewDesc("pintle_node_containers", "Containers in the runtime by state.", []string{"state"}, labels),
		ready:      prometheus.NewDesc("pintle_node_network_ready", "1 when pods can be given addresses.", nil, labels),
		p:          p,
	}
	if err := a.o.Metrics.Register(c); err != nil {
		a.log.Warn("registering the node's metrics failed", "error", err)
	}
}

func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.pods
	ch <- c.containers
	ch <- c.ready
}

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	phases := map[corev1.PodPhase]int{}
	for _, pod := range c.p.pods.Pods() {
		phases[pod.Status.Phase]++
	}
	for phase, n := range phases {
		ch <- prometheus.MustNewConstMetric(c.pods, prometheus.GaugeValue, float64(n), string(phase))
	}
	states := map[pluginv1.Container_State]int{}
	for _, container := range c.p.view.Containers() {
		states[container.State]++
	}
	for state, n := range states {
		ch <- prometheus.MustNewConstMetric(c.containers, prometheus.GaugeValue, float64(n), state.String())
	}
	ready := 1.0
	if c.p.routes.Ready() != nil {
		ready = 0
	}
	ch <- prometheus.MustNewConstMetric(c.ready, prometheus.GaugeValue, ready)
}
