package scheduler

import (
	"strings"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// stuckPod is a pod that fitted nowhere. It is tried again when something
// changed that could help it, never by the clock.
type stuckPod struct {
	pod *Pod
	// byOthers: pods on other nodes were a reason, so any change of pods or of
	// nodes' labels may help.
	byOthers bool
}

func newStuckPod(pod *Pod, v *verdict) *stuckPod {
	s := &stuckPod{pod: pod}
	for why := range v.reasons {
		if why == reasonAffinity || why == reasonAntiAffinity || why == reasonOthersAntiAffinity || strings.HasPrefix(why, reasonSpread) {
			s.byOthers = true
		}
	}
	return s
}

// room wakes the stuck pods that a node which changed, or lost a pod, could
// take now, as far as the node alone decides it.
func (h *handler) room(node *Node, wake map[string]bool) {
	for key, s := range h.stuck {
		if s.byOthers || (node != nil && checkNode(s.pod, node) == "" && len(checkRoom(s.pod, node, nil)) == 0) {
			wake[key] = true
		}
	}
}

// neighbour wakes the stuck pods that other pods kept away.
func (h *handler) neighbour(wake map[string]bool) {
	for key, s := range h.stuck {
		if s.byOthers {
			wake[key] = true
		}
	}
}

// enqueue tells the core which pods are due again.
func (h *handler) enqueue(wake map[string]bool) error {
	if len(wake) == 0 {
		return nil
	}
	d := &pluginv1.Decision{ObservedRevision: h.revision}
	for key := range wake {
		s := h.stuck[key]
		if s == nil {
			continue // Deleted meanwhile.
		}
		delete(h.stuck, key)
		d.Enqueue = append(d.Enqueue, &pluginv1.Key{Namespace: s.pod.Namespace, Name: s.pod.Name})
	}
	if len(d.Enqueue) == 0 {
		return nil
	}
	return h.out.Send(d)
}
