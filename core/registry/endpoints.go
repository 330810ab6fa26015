package registry

import (
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func endpointsKind() *Kind {
	return typed(Kind{
		GVK:      corev1.SchemeGroupVersion.WithKind("Endpoints"),
		Resource: "endpoints", Singular: "endpoints", ShortNames: []string{"ep"}, Namespaced: true,
		CreateOnUpdate: true,
		New:            func() runtime.Object { return &corev1.Endpoints{} },
		NewList:        func() runtime.Object { return &corev1.EndpointsList{} },
		ValidateName:   apivalidation.NameIsDNSSubdomain,
		Columns: []metav1.TableColumnDefinition{
			nameColumn(),
			column("Endpoints", corev1.Endpoints{}.SwaggerDoc()["subsets"]),
			ageColumn(),
		},
	}, funcs[*corev1.Endpoints]{
		Default:  defaultEndpoints,
		Validate: validateEndpoints,
		Row: func(ep *corev1.Endpoints, now metav1.Time) []any {
			return []any{ep.Name, endpointsCell(ep), since(ep.CreationTimestamp.Time, now)}
		},
	})
}

func defaultEndpoints(ep *corev1.Endpoints) {
	for i := range ep.Subsets {
		for j := range ep.Subsets[i].Ports {
			if port := &ep.Subsets[i].Ports[j]; port.Protocol == "" {
				port.Protocol = corev1.ProtocolTCP
			}
		}
	}
}

func validateEndpoints(ep *corev1.Endpoints) field.ErrorList {
	var errs field.ErrorList
	for i := range ep.Subsets {
		subset, path := &ep.Subsets[i], field.NewPath("subsets").Index(i)
		if len(subset.Addresses) == 0 && len(subset.NotReadyAddresses) == 0 {
			errs = append(errs, field.Required(path, "must specify `addresses` or `notReadyAddresses`"))
		}
		for j := range subset.Addresses {
			errs = append(errs, validateEndpointAddress(&subset.Addresses[j], path.Child("addresses").Index(j))...)
		}
		for j := range subset.NotReadyAddresses {
			errs = append(errs, validateEndpointAddress(&subset.NotReadyAddresses[j], path.Child("notReadyAddresses").Index(j))...)
		}
		for j := range subset.Ports {
			errs = append(errs, validateEndpointsPort(&subset.Ports[j], len(subset.Ports) > 1, path.Child("ports").Index(j))...)
		}
	}
	return errs
}

func validateEndpointAddress(address *corev1.EndpointAddress, path *field.Path) field.ErrorList {
	errs := validateEndpointIP(address.IP, path.Child("ip"))
	if address.Hostname != "" {
		errs = append(errs, invalidEach(path.Child("hostname"), address.Hostname, validation.IsDNS1123Label(address.Hostname))...)
	}
	if address.NodeName != nil {
		errs = append(errs, invalidEach(path.Child("nodeName"), *address.NodeName, apivalidation.NameIsDNSSubdomain(*address.NodeName, false))...)
	}
	return errs
}

func validateEndpointsPort(port *corev1.EndpointPort, named bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if named && port.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), ""))
	} else if port.Name != "" {
		errs = append(errs, invalidEach(path.Child("name"), port.Name, validation.IsDNS1123Label(port.Name))...)
	}
	errs = append(errs, invalidEach(path.Child("port"), port.Port, validation.IsValidPortNum(int(port.Port)))...)
	errs = append(errs, validateProtocol(port.Protocol, path.Child("protocol"))...)
	if port.AppProtocol != nil {
		errs = append(errs, invalidEach(path.Child("appProtocol"), *port.AppProtocol, validation.IsQualifiedName(*port.AppProtocol))...)
	}
	return errs
}

// endpointsCell shows the first three addresses.
func endpointsCell(ep *corev1.Endpoints) string {
	if len(ep.Subsets) == 0 {
		return "<none>"
	}
	var all []string
	for i := range ep.Subsets {
		subset := &ep.Subsets[i]
		for _, address := range subset.Addresses {
			for _, port := range subset.Ports {
				all = append(all, net.JoinHostPort(address.IP, strconv.Itoa(int(port.Port))))
			}
			if len(subset.Ports) == 0 {
				all = append(all, address.IP)
			}
		}
	}
	return joinSome(all, 3)
}
