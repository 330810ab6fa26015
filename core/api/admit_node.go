package api

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	pintlev1 "github.com/pintle-io/pintle/sdk/api/v1"
)

// nodeRestriction limits what a node's agent may write, as Kubernetes'
// NodeRestriction does for what the authorizer can't see.
// https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
type nodeRestriction struct{}

func (nodeRestriction) Admit(_ context.Context, a *Admission) error {
	node, ok := a.User.NodeName()
	if !ok {
		return nil
	}
	switch obj := a.Object.(type) {
	case *corev1.Node:
		var old *corev1.Node
		if a.Old != nil {
			old = a.Old.(*corev1.Node)
		}
		return restrictNode(node, obj, old)
	case *coordinationv1.Lease:
		if obj.Name != node {
			return fmt.Errorf("node %q can only access its own node lease", node)
		}
	case *corev1.Pod:
		if a.Old != nil && a.Old.(*corev1.Pod).Spec.NodeName != node {
			return fmt.Errorf("node %q can only update pod status for pods with spec.nodeName set to itself", node)
		}
		if a.Old != nil && a.Target.Subresource == subStatus && !maps.Equal(obj.Labels, a.Old.(*corev1.Pod).Labels) {
			return fmt.Errorf("node %q cannot update labels through pod status", node)
		}
	case *pintlev1.Plugin:
		if a.Old != nil {
			return restrictPlugin(node, obj, a.Old.(*pintlev1.Plugin))
		}
	case nil:
		if pod, ok := a.Old.(*corev1.Pod); ok && pod.Spec.NodeName != node {
			return fmt.Errorf("node %q can only delete pods with spec.nodeName set to itself", node)
		}
	}
	return nil
}

// restrictPlugin lets a node report on the plugins of nodes, and in their lists
// on itself alone.
func restrictPlugin(node string, obj, old *pintlev1.Plugin) error {
	switch old.Spec.Type {
	case pintlev1.SchedulerPlugin, pintlev1.ControllerPlugin:
		return fmt.Errorf("node %q is not allowed to report on a plugin of the control plane", node)
	}
	others := func(p *pintlev1.Plugin) []pintlev1.PluginNodeStatus {
		return slices.DeleteFunc(slices.Clone(p.Status.Nodes), func(n pintlev1.PluginNodeStatus) bool { return n.Node == node })
	}
	if !equality.Semantic.DeepEqual(others(obj), others(old)) {
		return fmt.Errorf("node %q is not allowed to report on other nodes", node)
	}
	return nil
}

func restrictNode(node string, obj, old *corev1.Node) error {
	if obj.Name != node {
		return fmt.Errorf("node %q is not allowed to modify node %q", node, obj.Name)
	}
	var oldLabels map[string]string
	if old != nil {
		oldLabels = old.Labels
		if !equality.Semantic.DeepEqual(obj.Spec.Taints, old.Spec.Taints) {
			return fmt.Errorf("node %q is not allowed to modify taints", node)
		}
		if !equality.Semantic.DeepEqual(obj.OwnerReferences, old.OwnerReferences) {
			return fmt.Errorf("node %q is not allowed to modify ownerReferences", node)
		}
	}
	var denied []string
	for key, value := range obj.Labels {
		if was, had := oldLabels[key]; (!had || was != value) && !nodeMaySet(key) {
			denied = append(denied, key)
		}
	}
	for key := range oldLabels {
		if _, has := obj.Labels[key]; !has && !nodeMaySet(key) {
			denied = append(denied, key)
		}
	}
	if len(denied) > 0 {
		slices.Sort(denied)
		return fmt.Errorf("is not allowed to modify labels: %s", strings.Join(denied, ", "))
	}
	return nil
}

// nodeMaySet tells whether a node may set a label on itself: any but those of
// Kubernetes' own domains, of which a few are its to set.
func nodeMaySet(key string) bool {
	domain, _, qualified := strings.Cut(key, "/")
	if !qualified {
		return true
	}
	switch key {
	case corev1.LabelHostname, corev1.LabelOSStable, corev1.LabelArchStable,
		corev1.LabelTopologyZone, corev1.LabelTopologyRegion, corev1.LabelInstanceTypeStable,
		"beta.kubernetes.io/os", "beta.kubernetes.io/arch", "beta.kubernetes.io/instance-type",
		"failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region":
		return true
	}
	inDomain := func(d string) bool { return domain == d || strings.HasSuffix(domain, "."+d) }
	switch {
	case inDomain("kubelet.kubernetes.io"), inDomain("node.kubernetes.io"):
		return true
	case inDomain("node-restriction.kubernetes.io"):
		return false
	}
	return !inDomain("kubernetes.io") && !inDomain("k8s.io")
}
