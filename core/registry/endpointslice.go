package registry

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Limits of the discovery.k8s.io/v1 API.
const (
	maxEndpoints         = 1000
	maxEndpointAddresses = 100
	maxEndpointPorts     = 20000
	maxZoneHints         = 8
)

func endpointSliceKind() *Kind {
	doc := discoveryv1.EndpointSlice{}.SwaggerDoc()
	return typed(Kind{
		GVK:      discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"),
		Resource: "endpointslices", Singular: "endpointslice", Namespaced: true,
		New:          func() runtime.Object { return &discoveryv1.EndpointSlice{} },
		NewList:      func() runtime.Object { return &discoveryv1.EndpointSliceList{} },
		ValidateName: apivalidation.NameIsDNSSubdomain,
		Columns: []metav1.TableColumnDefinition{
			nameColumn(),
			column("AddressType", doc["addressType"]),
			column("Ports", doc["ports"]),
			column("Endpoints", doc["endpoints"]),
			ageColumn(),
		},
	}, funcs[*discoveryv1.EndpointSlice]{
		Default:          defaultEndpointSlice,
		PrepareForCreate: func(s *discoveryv1.EndpointSlice) { s.Generation = 1 },
		PrepareForUpdate: raiseEndpointSliceGeneration,
		Validate:         validateEndpointSlice,
		ValidateUpdate: func(s, old *discoveryv1.EndpointSlice) field.ErrorList {
			return apivalidation.ValidateImmutableField(s.AddressType, old.AddressType, field.NewPath("addressType"))
		},
		Row: endpointSliceRow,
	})
}

func defaultEndpointSlice(s *discoveryv1.EndpointSlice) {
	for i := range s.Ports {
		port := &s.Ports[i]
		if port.Name == nil {
			port.Name = new("")
		}
		if port.Protocol == nil {
			port.Protocol = new(corev1.ProtocolTCP)
		}
	}
}

func raiseEndpointSliceGeneration(s, old *discoveryv1.EndpointSlice) {
	s.Generation = old.Generation
	same := s.AddressType == old.AddressType &&
		equality.Semantic.DeepEqual(s.Endpoints, old.Endpoints) &&
		equality.Semantic.DeepEqual(s.Ports, old.Ports) &&
		equality.Semantic.DeepEqual(s.Labels, old.Labels)
	if !same {
		s.Generation++
	}
}

func validateEndpointSlice(s *discoveryv1.EndpointSlice) field.ErrorList {
	errs := requiredOneOf(field.NewPath("addressType"), s.AddressType,
		discoveryv1.AddressTypeFQDN, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6)
	path := field.NewPath("endpoints")
	if len(s.Endpoints) > maxEndpoints {
		return append(errs, field.TooMany(path, len(s.Endpoints), maxEndpoints))
	}
	for i := range s.Endpoints {
		errs = append(errs, validateEndpoint(&s.Endpoints[i], s.AddressType, path.Index(i))...)
	}
	return append(errs, validateEndpointSlicePorts(s.Ports, field.NewPath("ports"))...)
}

func validateEndpoint(e *discoveryv1.Endpoint, addressType discoveryv1.AddressType, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	addresses := path.Child("addresses")
	switch {
	case len(e.Addresses) == 0:
		errs = append(errs, field.Required(addresses, "must contain at least 1 address"))
	case len(e.Addresses) > maxEndpointAddresses:
		errs = append(errs, field.TooMany(addresses, len(e.Addresses), maxEndpointAddresses))
	}
	for i, address := range e.Addresses {
		errs = append(errs, validateSliceAddress(address, addressType, addresses.Index(i))...)
	}
	if e.NodeName != nil {
		errs = append(errs, invalidEach(path.Child("nodeName"), *e.NodeName, apivalidation.NameIsDNSSubdomain(*e.NodeName, false))...)
	}
	if e.Hostname != nil {
		errs = append(errs, invalidEach(path.Child("hostname"), *e.Hostname, validation.IsDNS1123Label(*e.Hostname))...)
	}
	if len(e.DeprecatedTopology) > 0 {
		errs = append(errs, field.Forbidden(path.Child("deprecatedTopology"), "cannot be set by v1 clients"))
	}
	if e.Hints != nil {
		errs = append(errs, validateHints(e.Hints, path.Child("hints"))...)
	}
	return errs
}

func validateSliceAddress(address string, addressType discoveryv1.AddressType, path *field.Path) field.ErrorList {
	switch addressType {
	case discoveryv1.AddressTypeFQDN:
		return validation.IsFullyQualifiedDomainName(path, address)
	case discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6:
		errs := validateEndpointIP(address, path)
		if len(errs) > 0 {
			return errs
		}
		switch is4 := isIPv4(address); {
		case is4 && addressType != discoveryv1.AddressTypeIPv4:
			return field.ErrorList{field.Invalid(path, address, "must be an IPv6 address")}
		case !is4 && addressType != discoveryv1.AddressTypeIPv6:
			return field.ErrorList{field.Invalid(path, address, "must be an IPv4 address")}
		}
	}
	return nil
}

func validateHints(hints *discoveryv1.EndpointHints, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	zones := path.Child("forZones")
	if len(hints.ForZones) > maxZoneHints {
		errs = append(errs, field.TooMany(zones, len(hints.ForZones), maxZoneHints))
	}
	seen := sets.New[string]()
	for i, zone := range hints.ForZones {
		name := zones.Index(i).Child("name")
		if seen.Has(zone.Name) {
			errs = append(errs, field.Duplicate(name, zone.Name))
			continue
		}
		seen.Insert(zone.Name)
		errs = append(errs, invalidEach(name, zone.Name, validation.IsValidLabelValue(zone.Name))...)
	}
	nodes := path.Child("forNodes")
	if len(hints.ForNodes) > maxZoneHints {
		errs = append(errs, field.TooMany(nodes, len(hints.ForNodes), maxZoneHints))
	}
	for i, node := range hints.ForNodes {
		errs = append(errs, invalidEach(nodes.Index(i).Child("name"), node.Name, apivalidation.NameIsDNSSubdomain(node.Name, false))...)
	}
	return errs
}

func validateEndpointSlicePorts(ports []discoveryv1.EndpointPort, path *field.Path) field.ErrorList {
	if len(ports) > maxEndpointPorts {
		return field.ErrorList{field.TooMany(path, len(ports), maxEndpointPorts)}
	}
	var errs field.ErrorList
	names := sets.New[string]()
	for i, port := range ports {
		path := path.Index(i)
		name := ""
		if port.Name != nil {
			name = *port.Name
		}
		if name != "" {
			errs = append(errs, invalidEach(path.Child("name"), name, validation.IsDNS1123Label(name))...)
		}
		if names.Has(name) {
			errs = append(errs, field.Duplicate(path.Child("name"), name))
		}
		names.Insert(name)
		if port.Port != nil {
			errs = append(errs, invalidEach(path.Child("port"), *port.Port, validation.IsValidPortNum(int(*port.Port)))...)
		}
		if port.Protocol == nil {
			errs = append(errs, field.Required(path.Child("protocol"), ""))
		} else {
			errs = append(errs, validateProtocol(*port.Protocol, path.Child("protocol"))...)
		}
		if port.AppProtocol != nil {
			errs = append(errs, invalidEach(path.Child("appProtocol"), *port.AppProtocol, validation.IsQualifiedName(*port.AppProtocol))...)
		}
	}
	return errs
}

func endpointSliceRow(s *discoveryv1.EndpointSlice, now metav1.Time) []any {
	var ports, addresses []string
	for _, port := range s.Ports {
		if port.Port == nil {
			ports = append(ports, "*")
			continue
		}
		ports = append(ports, fmt.Sprint(*port.Port))
	}
	for _, e := range s.Endpoints {
		addresses = append(addresses, e.Addresses...)
	}
	slices.Sort(ports)
	return []any{
		s.Name, string(s.AddressType), orUnset(joinSome(ports, 3)), orUnset(joinSome(addresses, 3)),
		since(s.CreationTimestamp.Time, now),
	}
}

func orUnset(s string) string {
	if s == "" {
		return "<unset>"
	}
	return s
}
