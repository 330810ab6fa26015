package registry

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var serviceFields = fieldTable[corev1.ServiceSpec]{
	served: []string{
		"ports", "selector", "clusterIP", "clusterIPs", "externalIPs", "sessionAffinity", "externalName",
		"externalTrafficPolicy", "publishNotReadyAddresses", "sessionAffinityConfig", "ipFamilies", "ipFamilyPolicy",
		"allocateLoadBalancerNodePorts", "internalTrafficPolicy",
	},
	unserved: []unservedField[corev1.ServiceSpec]{
		{"type", func(s *corev1.ServiceSpec) bool { return s.Type == corev1.ServiceTypeLoadBalancer }, false,
			"no load balancer is provided: the service is reached by its cluster address and node ports, and its external address stays pending until a controller sets it"},
		{"loadBalancerIP", func(s *corev1.ServiceSpec) bool { return s.LoadBalancerIP != "" }, false,
			"no load balancer is provided: the address is kept as a wish and has no effect"},
		{"loadBalancerSourceRanges", func(s *corev1.ServiceSpec) bool { return len(s.LoadBalancerSourceRanges) > 0 }, false,
			"no load balancer is provided: node ports are not limited to these sources"},
		{"loadBalancerClass", func(s *corev1.ServiceSpec) bool { return s.LoadBalancerClass != nil }, false,
			"no load balancer is provided: the class is left to a controller of your own"},
		{"healthCheckNodePort", func(s *corev1.ServiceSpec) bool { return s.HealthCheckNodePort != 0 }, false,
			"nodes do not answer health checks of load balancers on a port of a service"},
		{"trafficDistribution", func(s *corev1.ServiceSpec) bool { return s.TrafficDistribution != nil }, false,
			"endpoints are chosen without regard to where they are"},
	},
}

func unservedService(svc, old *corev1.Service) (field.ErrorList, []string) {
	var r unservedReport
	var before *corev1.ServiceSpec
	if old != nil {
		before = &old.Spec
	}
	serviceFields.check(&r, &svc.Spec, before, field.NewPath("spec"))
	return r.refused, r.warnings
}

func serviceWarnings(svc, _ *corev1.Service) []string {
	var warnings []string
	if isHeadless(svc) && svc.Spec.SessionAffinity != corev1.ServiceAffinityNone {
		warnings = append(warnings, "spec.SessionAffinity is ignored for headless services")
	}
	if svc.Spec.Type == corev1.ServiceTypeExternalName && len(svc.Spec.ExternalIPs) > 0 {
		warnings = append(warnings, "spec.externalIPs is ignored when spec.type is \"ExternalName\"")
	}
	if svc.Spec.Type != corev1.ServiceTypeExternalName && svc.Spec.ExternalName != "" {
		warnings = append(warnings, "spec.externalName is ignored when spec.type is not \"ExternalName\"")
	}
	return warnings
}
