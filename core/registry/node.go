package registry

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Labels that name the roles of a node.
const (
	nodeRoleLabelPrefix = "node-role.kubernetes.io/"
	nodeRoleLabel       = "kubernetes.io/role"
)

func nodeKind(o Options) *Kind {
	ranges := podRanges{cluster: o.ClusterCIDR, bits: o.NodeMaskSize}
	info := corev1.NodeSystemInfo{}.SwaggerDoc()
	return typed(Kind{
		GVK:      corev1.SchemeGroupVersion.WithKind("Node"),
		Resource: "nodes", Singular: "node", ShortNames: []string{"no"},
		New:          func() runtime.Object { return &corev1.Node{} },
		NewList:      func() runtime.Object { return &corev1.NodeList{} },
		ValidateName: validation.NameIsDNSSubdomain,
		FieldNames:   []string{"spec.unschedulable"},
		Columns: []metav1.TableColumnDefinition{
			nameColumn(),
			column("Status", "The status of the node"),
			column("Roles", "The roles of the node"),
			ageColumn(),
			column("Version", info["kubeletVersion"]),
			wide(column("Internal-IP", corev1.NodeStatus{}.SwaggerDoc()["addresses"])),
			wide(column("External-IP", corev1.NodeStatus{}.SwaggerDoc()["addresses"])),
			wide(column("OS-Image", info["osImage"])),
			wide(column("Kernel-Version", info["kernelVersion"])),
			wide(column("Container-Runtime", info["containerRuntimeVersion"])),
		},
		Status: true,
	}, funcs[*corev1.Node]{
		Default:          defaultNode,
		PrepareForCreate: func(n *corev1.Node) { n.Generation = 1 },
		PrepareForUpdate: func(n, old *corev1.Node) {
			n.Status = old.Status
			n.Generation = raised(old.Generation, equality.Semantic.DeepEqual(n.Spec, old.Spec))
		},
		PrepareForStatusUpdate: func(n, old *corev1.Node) { n.Spec = old.Spec },
		Validate:               validateNode,
		ValidateUpdate:         validateNodeUpdate,
		ValidateStatusUpdate:   func(n, _ *corev1.Node) field.ErrorList { return validateNodeStatus(n) },
		Unserved:               unservedNode,
		Claims:                 nodeClaims,
		Allocate:               ranges.allocate,
		Fields: func(n *corev1.Node) fields.Set {
			return fields.Set{"spec.unschedulable": strconv.FormatBool(n.Spec.Unschedulable)}
		},
		Row: nodeRow,
	})
}

// defaultNode makes what is allocatable the whole capacity where the node does
// not say how much it keeps for itself.
func defaultNode(n *corev1.Node) {
	if n.Status.Allocatable == nil && n.Status.Capacity != nil {
		n.Status.Allocatable = n.Status.Capacity.DeepCopy()
	}
	roundUp(n.Status.Capacity)
	roundUp(n.Status.Allocatable)
	if n.Spec.PodCIDR != "" && len(n.Spec.PodCIDRs) == 0 {
		n.Spec.PodCIDRs = []string{n.Spec.PodCIDR}
	}
	if n.Spec.PodCIDR == "" && len(n.Spec.PodCIDRs) > 0 {
		n.Spec.PodCIDR = n.Spec.PodCIDRs[0]
	}
}

func nodeRow(n *corev1.Node, now metav1.Time) []any {
	info := n.Status.NodeInfo
	return []any{
		n.Name, nodeStatusCell(n), nodeRolesCell(n), since(n.CreationTimestamp.Time, now), info.KubeletVersion,
		nodeAddress(n, corev1.NodeInternalIP), nodeAddress(n, corev1.NodeExternalIP),
		orUnknown(info.OSImage), orUnknown(info.KernelVersion), orUnknown(info.ContainerRuntimeVersion),
	}
}

func nodeStatusCell(n *corev1.Node) string {
	status := "Unknown"
	for _, c := range n.Status.Conditions {
		if c.Type != corev1.NodeReady {
			continue
		}
		if c.Status == corev1.ConditionTrue {
			status = string(corev1.NodeReady)
		} else {
			status = "Not" + string(corev1.NodeReady)
		}
	}
	if n.Spec.Unschedulable {
		status += ",SchedulingDisabled"
	}
	return status
}

func nodeRolesCell(n *corev1.Node) string {
	roles := sets.New[string]()
	for label, value := range n.Labels {
		if role, ok := strings.CutPrefix(label, nodeRoleLabelPrefix); ok && role != "" {
			roles.Insert(role)
		} else if label == nodeRoleLabel && value != "" {
			roles.Insert(value)
		}
	}
	return orNone(strings.Join(sets.List(roles), ","))
}

func nodeAddress(n *corev1.Node, kind corev1.NodeAddressType) string {
	i := slices.IndexFunc(n.Status.Addresses, func(a corev1.NodeAddress) bool { return a.Type == kind })
	if i < 0 {
		return "<none>"
	}
	return n.Status.Addresses[i].Address
}

func orUnknown(s string) string {
	if s == "" {
		return "<unknown>"
	}
	return s
}
