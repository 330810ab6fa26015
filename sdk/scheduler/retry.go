package scheduler

import (
	"slices"
	"strings"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// stuckPod is a pod that fitted nowhere. It is tried again when something
// changed that could help it, never by the clock.
type stuckPod struct {
	pod *Pod
	// byOthers: other pods, wherever they are, were a reason.
	byOthers bool
	// byFilter: one of the profile's own filters was a reason. Nobody knows what
	// it looks at, so any change may help.
	byFilter bool
}

func newStuckPod(pod *Pod, v *verdict) *stuckPod {
	s := &stuckPod{pod: pod, byFilter: v.filtered}
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
		if s.byFilter || checkNode(s.pod, node) == "" && len(checkRoom(s.pod, node, nil)) == 0 {
			wake[key] = true
		}
	}
}

// places wakes the stuck pods that other pods kept away: nodes' labels or
// namespaces' changed, and with them which pods those are.
func (h *handler) places(wake map[string]bool) {
	for key, s := range h.stuck {
		if s.byOthers || s.byFilter {
			wake[key] = true
		}
	}
}

// domains wakes the stuck pods whose spread asks for a number of domains: a node
// that came empty may have brought one, which changes what others may take.
func (h *handler) domains(wake map[string]bool) {
	for key, s := range h.stuck {
		if s.byFilter || s.byOthers && slices.ContainsFunc(s.pod.spread, func(t spreadTerm) bool { return t.hard && t.minDomains > 1 }) {
			wake[key] = true
		}
	}
}

// came wakes the stuck pods that want to be beside a pod that is there now, or
// may follow as the domain of their spread that had the fewest has more.
func (h *handler) came(pod *Pod, wake map[string]bool) {
	for key, s := range h.stuck {
		if s.byFilter || s.byOthers && (h.wants(s.pod, pod) || s.pod.spreadsOver(pod)) {
			wake[key] = true
		}
	}
}

// left wakes the stuck pods that have room on the node that a pod left, or were
// kept away by that pod wherever they might go.
func (h *handler) left(pod *Pod, wake map[string]bool) {
	if node := h.view.Node(pod.Node); node != nil {
		h.room(node, wake)
	}
	for key, s := range h.stuck {
		if s.byFilter || s.byOthers && (h.wants(s.pod, pod) || h.avoids(s.pod, pod) || h.avoids(pod, s.pod) || s.pod.spreadsOver(pod)) {
			wake[key] = true
		}
	}
}

// wants tells whether required affinity of one pod means another. That a pod
// left helps too: the last of its sort makes the next one the first.
func (h *handler) wants(pod, other *Pod) bool {
	return slices.ContainsFunc(pod.affinity, func(t podTerm) bool { return t.matches(other, h.view) })
}

// avoids tells whether required anti-affinity of one pod means another.
func (h *handler) avoids(pod, other *Pod) bool {
	return slices.ContainsFunc(pod.anti, func(t podTerm) bool { return t.matches(other, h.view) })
}

// spreadsOver tells whether a constraint that must hold counts another pod. One
// that is being deleted counts no more and is as good as gone.
func (p *Pod) spreadsOver(other *Pod) bool {
	return slices.ContainsFunc(p.spread, func(t spreadTerm) bool { return t.hard && t.matches(p, other) })
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
