package registry

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func serviceKind(o Options) *Kind {
	spec := corev1.ServiceSpec{}.SwaggerDoc()
	addresses := serviceAddresses{addresses: addressRange{prefix: o.ServiceCIDR}, ports: o.NodePorts}
	return typed(Kind{
		GVK:      corev1.SchemeGroupVersion.WithKind("Service"),
		Resource: "services", Singular: "service",
		ShortNames: []string{"svc"}, Categories: []string{"all"}, Namespaced: true,
		New:          func() runtime.Object { return &corev1.Service{} },
		NewList:      func() runtime.Object { return &corev1.ServiceList{} },
		ValidateName: apivalidation.NameIsDNS1035Label,
		Columns: []metav1.TableColumnDefinition{
			nameColumn(),
			column("Type", spec["type"]),
			column("Cluster-IP", spec["clusterIP"]),
			column("External-IP", spec["externalIPs"]),
			column("Port(s)", spec["ports"]),
			ageColumn(),
			wide(column("Selector", spec["selector"])),
		},
		Status: true,
	}, funcs[*corev1.Service]{
		Default: defaultService,
		PrepareForCreate: func(svc *corev1.Service) {
			svc.Status = corev1.ServiceStatus{}
			alignClusterIPs(svc, nil)
		},
		PrepareForUpdate: func(svc, old *corev1.Service) {
			svc.Status = old.Status
			keepAllocated(svc, old)
			alignClusterIPs(svc, old)
			dropFieldsOfOldType(svc, old)
		},
		PrepareForStatusUpdate: func(svc, old *corev1.Service) { svc.Spec = old.Spec },
		Validate:               validateService,
		ValidateUpdate:         validateServiceUpdate,
		ValidateStatusUpdate:   func(svc, _ *corev1.Service) field.ErrorList { return validateServiceStatus(svc) },
		Unserved:               unservedService,
		Warnings:               serviceWarnings,
		Claims:                 serviceClaims,
		Allocate:               addresses.allocate,
		Row: func(svc *corev1.Service, now metav1.Time) []any {
			return []any{
				svc.Name, string(svc.Spec.Type), clusterIPCell(svc), externalIPCell(svc), orNone(portsCell(svc.Spec.Ports)),
				since(svc.CreationTimestamp.Time, now), labels.FormatLabels(svc.Spec.Selector),
			}
		},
	})
}

// needsClusterIP: all types but ExternalName have an address or "None".
func needsClusterIP(svc *corev1.Service) bool {
	switch svc.Spec.Type {
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer:
		return true
	}
	return false
}

func needsNodePort(svc *corev1.Service) bool {
	return svc.Spec.Type == corev1.ServiceTypeNodePort || svc.Spec.Type == corev1.ServiceTypeLoadBalancer &&
		(svc.Spec.AllocateLoadBalancerNodePorts == nil || *svc.Spec.AllocateLoadBalancerNodePorts)
}

// mayHaveNodePorts: a load balancer's service that does without has those that
// its client names.
func mayHaveNodePorts(svc *corev1.Service) bool {
	return svc.Spec.Type == corev1.ServiceTypeNodePort || svc.Spec.Type == corev1.ServiceTypeLoadBalancer
}

func isHeadless(svc *corev1.Service) bool {
	return needsClusterIP(svc) && svc.Spec.ClusterIP == corev1.ClusterIPNone
}

// externallyAccessible: traffic from outside the cluster can reach it, so that
// an external traffic policy means something.
func externallyAccessible(svc *corev1.Service) bool {
	return svc.Spec.Type == corev1.ServiceTypeNodePort || svc.Spec.Type == corev1.ServiceTypeLoadBalancer ||
		svc.Spec.Type == corev1.ServiceTypeClusterIP && len(svc.Spec.ExternalIPs) > 0
}

func clusterIPCell(svc *corev1.Service) string {
	if len(svc.Spec.ClusterIPs) > 0 {
		return svc.Spec.ClusterIPs[0]
	}
	return orNone(svc.Spec.ClusterIP)
}

func externalIPCell(svc *corev1.Service) string {
	switch svc.Spec.Type {
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort:
		return orNone(strings.Join(svc.Spec.ExternalIPs, ","))
	case corev1.ServiceTypeLoadBalancer:
		ips := sets.New[string]()
		for _, ingress := range svc.Status.LoadBalancer.Ingress {
			if ingress.IP != "" {
				ips.Insert(ingress.IP)
			} else if ingress.Hostname != "" {
				ips.Insert(ingress.Hostname)
			}
		}
		all := strings.Join(append(sets.List(ips), svc.Spec.ExternalIPs...), ",")
		if all == "" {
			return "<pending>"
		}
		return all
	case corev1.ServiceTypeExternalName:
		return svc.Spec.ExternalName
	}
	return "<unknown>"
}

func portsCell(ports []corev1.ServicePort) string {
	cells := make([]string, len(ports))
	for i, port := range ports {
		cells[i] = fmt.Sprintf("%d/%s", port.Port, port.Protocol)
		if port.NodePort > 0 {
			cells[i] = fmt.Sprintf("%d:%d/%s", port.Port, port.NodePort, port.Protocol)
		}
	}
	return strings.Join(cells, ",")
}
