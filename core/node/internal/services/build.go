package services

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

const defaultAffinitySeconds = 10800

// Build makes what the proxy gets of a service, nil for one that needs no rules.
func Build(s *corev1.Service, list []*discoveryv1.EndpointSlice, node string) *pluginv1.ProxyService {
	if s.Spec.Type == corev1.ServiceTypeExternalName || s.Spec.ClusterIP == corev1.ClusterIPNone || s.Spec.ClusterIP == "" {
		return nil
	}
	out := &pluginv1.ProxyService{
		Namespace: s.Namespace, Name: s.Name,
		ClusterIps:            s.Spec.ClusterIPs,
		ExternalIps:           s.Spec.ExternalIPs,
		InternalTrafficPolicy: pluginv1.TrafficPolicy_TRAFFIC_POLICY_CLUSTER,
		ExternalTrafficPolicy: pluginv1.TrafficPolicy_TRAFFIC_POLICY_CLUSTER,
		HealthCheckNodePort:   s.Spec.HealthCheckNodePort,
	}
	if len(out.ClusterIps) == 0 {
		out.ClusterIps = []string{s.Spec.ClusterIP}
	}
	for _, in := range s.Status.LoadBalancer.Ingress {
		if in.IP != "" && (in.IPMode == nil || *in.IPMode == corev1.LoadBalancerIPModeVIP) {
			out.LoadBalancerIps = append(out.LoadBalancerIps, in.IP)
		}
	}
	if s.Spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		out.AffinitySeconds = defaultAffinitySeconds
		if c := s.Spec.SessionAffinityConfig; c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil {
			out.AffinitySeconds = *c.ClientIP.TimeoutSeconds
		}
	}
	if p := s.Spec.InternalTrafficPolicy; p != nil && *p == corev1.ServiceInternalTrafficPolicyLocal {
		out.InternalTrafficPolicy = pluginv1.TrafficPolicy_TRAFFIC_POLICY_LOCAL
	}
	if s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		out.ExternalTrafficPolicy = pluginv1.TrafficPolicy_TRAFFIC_POLICY_LOCAL
	}
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		port := &pluginv1.ProxyPort{Name: p.Name, Protocol: string(p.Protocol), Port: p.Port, NodePort: p.NodePort}
		if port.Protocol == "" {
			port.Protocol = string(corev1.ProtocolTCP)
		}
		port.Endpoints = endpoints(list, p, node)
		out.Ports = append(out.Ports, port)
	}
	return out
}

func endpoints(list []*discoveryv1.EndpointSlice, p *corev1.ServicePort, node string) []*pluginv1.ProxyEndpoint {
	type key struct {
		address string
		port    int32
	}
	seen := map[key]*pluginv1.ProxyEndpoint{}
	var out []*pluginv1.ProxyEndpoint
	for _, s := range list {
		if s.AddressType == discoveryv1.AddressTypeFQDN {
			continue
		}
		for _, sp := range s.Ports {
			if value(sp.Name) != p.Name || sp.Port == nil || protocolOf(sp.Protocol) != protocolOf(&p.Protocol) {
				continue
			}
			for i := range s.Endpoints {
				e := &s.Endpoints[i]
				ready := e.Conditions.Ready == nil || *e.Conditions.Ready
				serving := ready
				if e.Conditions.Serving != nil {
					serving = *e.Conditions.Serving
				}
				terminating := value(e.Conditions.Terminating)
				if !ready && (!serving || !terminating) || len(e.Addresses) == 0 {
					continue
				}
				k := key{e.Addresses[0], *sp.Port}
				if old := seen[k]; old != nil {
					// One address in two slices while it moves between them.
					old.Ready = old.Ready || ready
					old.ServingTerminating = !old.Ready
					continue
				}
				ep := &pluginv1.ProxyEndpoint{
					Address: k.address, Port: k.port, Ready: ready, ServingTerminating: !ready,
					Local: e.NodeName != nil && *e.NodeName == node,
				}
				seen[k] = ep
				out = append(out, ep)
			}
		}
	}
	slices.SortFunc(out, func(a, b *pluginv1.ProxyEndpoint) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Port, b.Port))
	})
	return out
}

func protocolOf(p *corev1.Protocol) corev1.Protocol {
	if p == nil || *p == "" {
		return corev1.ProtocolTCP
	}
	return *p
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
