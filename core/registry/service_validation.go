package registry

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateService(svc *corev1.Service) field.ErrorList {
	spec := field.NewPath("spec")
	errs := requiredOneOf(spec.Child("type"), svc.Spec.Type,
		corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort)
	errs = append(errs, validateServiceType(svc, spec)...)
	errs = append(errs, validateServicePorts(svc, spec.Child("ports"))...)
	errs = append(errs, metavalidation.ValidateLabels(svc.Spec.Selector, spec.Child("selector"))...)
	errs = append(errs, validateSessionAffinity(svc, spec)...)
	errs = append(errs, validateClusterIPs(svc, spec)...)
	for i, ip := range svc.Spec.ExternalIPs {
		errs = append(errs, validateEndpointIP(ip, spec.Child("externalIPs").Index(i))...)
	}
	errs = append(errs, validateLoadBalancerFields(svc, spec)...)
	return append(errs, validateTrafficPolicies(svc, spec)...)
}

// validateServiceType checks what depends on the type alone.
func validateServiceType(svc *corev1.Service, spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch svc.Spec.Type {
	case corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort:
		if isHeadless(svc) {
			errs = append(errs, field.Invalid(spec.Child("clusterIPs").Index(0), corev1.ClusterIPNone,
				fmt.Sprintf("may not be set to 'None' for %s services", svc.Spec.Type)))
		}
	case corev1.ServiceTypeExternalName:
		const msg = "may not be set for ExternalName services"
		if len(svc.Spec.ClusterIPs) > 0 {
			errs = append(errs, field.Forbidden(spec.Child("clusterIPs"), msg))
		}
		if len(svc.Spec.IPFamilies) > 0 {
			errs = append(errs, field.Forbidden(spec.Child("ipFamilies"), msg))
		}
		if svc.Spec.IPFamilyPolicy != nil {
			errs = append(errs, field.Forbidden(spec.Child("ipFamilyPolicy"), msg))
		}
		// A dot at the end says that the name is complete.
		name, path := strings.TrimSuffix(svc.Spec.ExternalName, "."), spec.Child("externalName")
		if name == "" {
			errs = append(errs, field.Required(path, ""))
		} else {
			errs = append(errs, invalidEach(path, name, validation.IsDNS1123Subdomain(name))...)
		}
	}
	return errs
}

func validateServicePorts(svc *corev1.Service, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(svc.Spec.Ports) == 0 && !isHeadless(svc) && svc.Spec.Type != corev1.ServiceTypeExternalName {
		errs = append(errs, field.Required(path, ""))
	}
	type identity struct {
		protocol corev1.Protocol
		port     int32
	}
	names, ports, nodePorts := sets.New[string](), map[identity]bool{}, map[identity]bool{}
	for i := range svc.Spec.Ports {
		port, path := &svc.Spec.Ports[i], path.Index(i)
		errs = append(errs, validateServicePort(port, len(svc.Spec.Ports) > 1, names, path)...)
		id := identity{port.Protocol, port.Port}
		if ports[id] {
			errs = append(errs, field.Duplicate(path, corev1.ServicePort{Protocol: port.Protocol, Port: port.Port}))
		}
		ports[id] = true
		if port.NodePort == 0 {
			continue
		}
		if svc.Spec.Type == corev1.ServiceTypeClusterIP {
			errs = append(errs, field.Forbidden(path.Child("nodePort"), "may not be used when `type` is 'ClusterIP'"))
		}
		id.port = port.NodePort
		if nodePorts[id] {
			errs = append(errs, field.Duplicate(path.Child("nodePort"), port.NodePort))
		}
		nodePorts[id] = true
	}
	return errs
}

func validateServicePort(port *corev1.ServicePort, named bool, names sets.Set[string], path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if port.Name == "" {
		if named {
			errs = append(errs, field.Required(path.Child("name"), ""))
		}
	} else {
		errs = append(errs, invalidEach(path.Child("name"), port.Name, validation.IsDNS1123Label(port.Name))...)
		errs = append(errs, uniqueName(names, port.Name, path.Child("name"))...)
	}
	errs = append(errs, invalidEach(path.Child("port"), port.Port, validation.IsValidPortNum(int(port.Port)))...)
	errs = append(errs, validateProtocol(port.Protocol, path.Child("protocol"))...)
	errs = append(errs, validatePortOrName(port.TargetPort, path.Child("targetPort"))...)
	if port.AppProtocol != nil {
		errs = append(errs, invalidEach(path.Child("appProtocol"), *port.AppProtocol, validation.IsQualifiedName(*port.AppProtocol))...)
	}
	return errs
}

// maxAffinitySeconds is a day.
const maxAffinitySeconds = 86400

func validateSessionAffinity(svc *corev1.Service, spec *field.Path) field.ErrorList {
	affinity, config := svc.Spec.SessionAffinity, svc.Spec.SessionAffinityConfig
	errs := requiredOneOf(spec.Child("sessionAffinity"), affinity, corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone)
	path := spec.Child("sessionAffinityConfig")
	switch {
	case affinity == corev1.ServiceAffinityNone && config != nil:
		errs = append(errs, field.Forbidden(path, fmt.Sprintf("must not be set when session affinity is %s", affinity)))
	case affinity != corev1.ServiceAffinityClientIP:
	case config == nil:
		errs = append(errs, field.Required(path, fmt.Sprintf("when session affinity type is %s", affinity)))
	case config.ClientIP == nil:
		errs = append(errs, field.Required(path.Child("clientIP"), fmt.Sprintf("when session affinity type is %s", affinity)))
	case config.ClientIP.TimeoutSeconds == nil:
		errs = append(errs, field.Required(path.Child("clientIP", "timeoutSeconds"), fmt.Sprintf("when session affinity type is %s", affinity)))
	default:
		if s := *config.ClientIP.TimeoutSeconds; s <= 0 || s > maxAffinitySeconds {
			errs = append(errs, field.Invalid(path.Child("clientIP", "timeoutSeconds"), s, fmt.Sprintf("must be greater than 0 and less than %d", maxAffinitySeconds)))
		}
	}
	return errs
}

func validateClusterIPs(svc *corev1.Service, spec *field.Path) field.ErrorList {
	s, path := &svc.Spec, spec.Child("clusterIPs")
	var errs field.ErrorList
	for i, family := range s.IPFamilies {
		errs = append(errs, oneOf(spec.Child("ipFamilies").Index(i), family, corev1.IPv4Protocol, corev1.IPv6Protocol)...)
		if slices.Contains(s.IPFamilies[:i], family) {
			errs = append(errs, field.Duplicate(spec.Child("ipFamilies").Index(i), family))
		}
	}
	if s.IPFamilyPolicy != nil {
		errs = append(errs, oneOf(spec.Child("ipFamilyPolicy"), *s.IPFamilyPolicy,
			corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack, corev1.IPFamilyPolicySingleStack)...)
	}
	switch {
	case svc.Spec.Type == corev1.ServiceTypeExternalName:
		return errs
	case s.ClusterIP == "" && len(s.ClusterIPs) > 0:
		return append(errs, field.Invalid(path, s.ClusterIPs, "must be empty when `clusterIP` is not specified"))
	case s.ClusterIP == "":
		return errs
	case len(s.ClusterIPs) == 0:
		return append(errs, field.Required(path, ""))
	case s.ClusterIPs[0] != s.ClusterIP:
		errs = append(errs, field.Invalid(path, s.ClusterIPs, "first value must match `clusterIP`"))
	case len(s.ClusterIPs) > 2:
		return append(errs, field.Invalid(path, s.ClusterIPs, "may only hold up to 2 values"))
	case s.ClusterIP == corev1.ClusterIPNone && len(s.ClusterIPs) > 1:
		return append(errs, field.Invalid(path, s.ClusterIPs, "may only hold 'None' alone"))
	}
	for i, ip := range s.ClusterIPs {
		if ip == corev1.ClusterIPNone {
			continue
		}
		path := path.Index(i)
		invalid := validation.IsValidIPForLegacyField(path, ip, true, nil)
		errs = append(errs, invalid...)
		if len(invalid) > 0 || i >= len(s.IPFamilies) {
			continue
		}
		if is4 := isIPv4(ip); is4 != (s.IPFamilies[i] == corev1.IPv4Protocol) {
			errs = append(errs, field.Invalid(path, ip, fmt.Sprintf("expected an %s value as indicated by `ipFamilies[%d]`", s.IPFamilies[i], i)))
		}
	}
	return errs
}

func validateLoadBalancerFields(svc *corev1.Service, spec *field.Path) field.ErrorList {
	const msg = "may only be used when `type` is 'LoadBalancer'"
	var errs field.ErrorList
	balanced := svc.Spec.Type == corev1.ServiceTypeLoadBalancer
	if len(svc.Spec.LoadBalancerSourceRanges) > 0 && !balanced {
		errs = append(errs, field.Forbidden(spec.Child("loadBalancerSourceRanges"), msg))
	}
	for i, cidr := range svc.Spec.LoadBalancerSourceRanges {
		errs = append(errs, validation.IsValidCIDRForLegacyField(spec.Child("loadBalancerSourceRanges").Index(i), strings.TrimSpace(cidr), true, nil)...)
	}
	switch allocate := svc.Spec.AllocateLoadBalancerNodePorts; {
	case balanced && allocate == nil:
		errs = append(errs, field.Required(spec.Child("allocateLoadBalancerNodePorts"), ""))
	case !balanced && allocate != nil:
		errs = append(errs, field.Forbidden(spec.Child("allocateLoadBalancerNodePorts"), msg))
	}
	if class := svc.Spec.LoadBalancerClass; class != nil {
		if !balanced {
			errs = append(errs, field.Forbidden(spec.Child("loadBalancerClass"), msg))
		}
		errs = append(errs, invalidEach(spec.Child("loadBalancerClass"), *class, validation.IsQualifiedName(*class))...)
	}
	return errs
}

func validateTrafficPolicies(svc *corev1.Service, spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	external := svc.Spec.ExternalTrafficPolicy
	if externallyAccessible(svc) {
		errs = append(errs, requiredOneOf(spec.Child("externalTrafficPolicy"), external,
			corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)...)
	} else if external != "" {
		errs = append(errs, field.Invalid(spec.Child("externalTrafficPolicy"), external, "may only be set for externally-accessible services"))
	}
	if port := svc.Spec.HealthCheckNodePort; port != 0 {
		path := spec.Child("healthCheckNodePort")
		errs = append(errs, invalidEach(path, port, validation.IsValidPortNum(int(port)))...)
		if !needsHealthCheckPort(svc) {
			errs = append(errs, field.Invalid(path, port, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"))
		}
	}
	if internal := svc.Spec.InternalTrafficPolicy; internal != nil {
		errs = append(errs, oneOf(spec.Child("internalTrafficPolicy"), *internal,
			corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal)...)
	} else if needsClusterIP(svc) {
		errs = append(errs, field.Required(spec.Child("internalTrafficPolicy"), ""))
	}
	if d := svc.Spec.TrafficDistribution; d != nil {
		errs = append(errs, oneOf(spec.Child("trafficDistribution"), *d, corev1.ServiceTrafficDistributionPreferClose,
			corev1.ServiceTrafficDistributionPreferSameNode, corev1.ServiceTrafficDistributionPreferSameZone)...)
	}
	return errs
}

const notOnceSet = "may not change once set"

// validateServiceUpdate keeps the address of a service, which others rely on,
// for as long as its type has one.
func validateServiceUpdate(svc, old *corev1.Service) field.ErrorList {
	spec := field.NewPath("spec")
	var errs field.ErrorList
	if needsClusterIP(svc) && needsClusterIP(old) {
		if len(old.Spec.ClusterIPs) > 0 && (len(svc.Spec.ClusterIPs) == 0 || svc.Spec.ClusterIPs[0] != old.Spec.ClusterIPs[0]) {
			errs = append(errs, field.Invalid(spec.Child("clusterIPs").Index(0), svc.Spec.ClusterIPs, notOnceSet))
		}
		if len(old.Spec.IPFamilies) > 0 && (len(svc.Spec.IPFamilies) == 0 || svc.Spec.IPFamilies[0] != old.Spec.IPFamilies[0]) {
			errs = append(errs, field.Invalid(spec.Child("ipFamilies").Index(0), svc.Spec.IPFamilies, notOnceSet))
		}
	}
	if old.Spec.Type == corev1.ServiceTypeLoadBalancer && svc.Spec.Type == corev1.ServiceTypeLoadBalancer {
		errs = append(errs, apivalidation.ValidateImmutableField(svc.Spec.LoadBalancerClass, old.Spec.LoadBalancerClass, spec.Child("loadBalancerClass"))...)
	}
	return errs
}

func validateServiceStatus(svc *corev1.Service) field.ErrorList {
	path := field.NewPath("status", "loadBalancer")
	errs := metavalidation.ValidateConditions(svc.Status.Conditions, field.NewPath("status", "conditions"))
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer && len(svc.Status.LoadBalancer.Ingress) > 0 {
		return append(errs, field.Forbidden(path.Child("ingress"), "may only be used when `spec.type` is 'LoadBalancer'"))
	}
	for i, ingress := range svc.Status.LoadBalancer.Ingress {
		path := path.Child("ingress").Index(i)
		if ingress.IP != "" {
			errs = append(errs, validation.IsValidIPForLegacyField(path.Child("ip"), ingress.IP, true, nil)...)
		}
		if ingress.IPMode != nil {
			if ingress.IP == "" {
				errs = append(errs, field.Forbidden(path.Child("ipMode"), "may not be specified when `ip` is not set"))
			}
			errs = append(errs, oneOf(path.Child("ipMode"), *ingress.IPMode, corev1.LoadBalancerIPModeProxy, corev1.LoadBalancerIPModeVIP)...)
		}
		if ingress.Hostname != "" {
			errs = append(errs, invalidEach(path.Child("hostname"), ingress.Hostname, validation.IsDNS1123Subdomain(ingress.Hostname))...)
		}
	}
	return errs
}
