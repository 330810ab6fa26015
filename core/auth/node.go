package auth

import (
	"context"
	"fmt"
)

// authorizeNode follows Kubernetes' node authorizer and its NodeRestriction
// admission, which core/api adds for the content of objects.
// https://kubernetes.io/docs/reference/access-authn-authz/node/
func (z *authorizer) authorizeNode(ctx context.Context, node string, a Attributes) (bool, string, error) {
	switch {
	case a.Group == "" && (a.Resource == "secrets" || a.Resource == "configmaps"):
		return z.authorizeReferenced(ctx, node, a)
	case a.Group == "" && a.Resource == "serviceaccounts" && a.Verb == "get":
		return z.authorizeReferenced(ctx, node, a)
	case a.Group == "" && a.Resource == "pods":
		return z.authorizeNodePod(ctx, node, a)
	case a.Group == "" && a.Resource == "nodes":
		return authorizeNodeNode(node, a)
	case a.Group == "coordination.k8s.io" && a.Resource == "leases":
		return authorizeNodeLease(node, a)
	}
	for _, r := range nodeRules {
		if r.Allows(a) {
			return true, "", nil
		}
	}
	return false, "", nil
}

// nodeRules are what every node may do, whoever it is.
var nodeRules = []Rule{
	{Group: "", Resources: []string{"services", "endpoints", "namespaces"}, Verbs: []string{"get", "list", "watch"}},
	{Group: "discovery.k8s.io", Resources: []string{"endpointslices"}, Verbs: []string{"get", "list", "watch"}},
	{Group: "", Resources: []string{"events"}, Verbs: []string{"create", "update", "patch"}},
	{Group: "events.k8s.io", Resources: []string{"events"}, Verbs: []string{"create", "update", "patch"}},
	{Group: "pintle.io", Resources: []string{"plugins"}, Verbs: []string{"get", "list", "watch"}},
	{Group: "pintle.io", Resources: []string{"plugins/status"}, Verbs: []string{"get", "update", "patch"}},
}

func (z *authorizer) authorizeReferenced(ctx context.Context, node string, a Attributes) (bool, string, error) {
	switch {
	case a.Verb != "get" && a.Verb != "list" && a.Verb != "watch" || a.Subresource != "":
		return false, "can only read resources of this type", nil
	case a.Name == "":
		return false, "can only read namespaced object of this type", nil
	}
	needed, err := z.directory.NodeNeeds(ctx, node, a.Resource, a.Namespace, a.Name)
	if err != nil {
		return false, "", fmt.Errorf("looking for what node %s needs: %w", node, err)
	}
	if !needed {
		return false, fmt.Sprintf("no relationship found between node '%s' and this object", node), nil
	}
	return true, "", nil
}

func (z *authorizer) authorizeNodePod(ctx context.Context, node string, a Attributes) (bool, string, error) {
	switch a.Subresource {
	case "":
		switch a.Verb {
		case "list", "watch":
			if a.Fields != nil {
				if v, ok := a.Fields.RequiresExactMatch("spec.nodeName"); ok && v == node {
					return true, "", nil
				}
			}
			return false, "can only list/watch pods with spec.nodeName field selector", nil
		case "get", "delete":
		case "create":
			return false, "mirror pods are not served", nil
		default:
			return false, "", nil
		}
	case "status":
		if a.Verb != "get" && a.Verb != "update" && a.Verb != "patch" {
			return false, "", nil
		}
	case "eviction":
		if a.Verb != "create" {
			return false, "", nil
		}
	default:
		return false, "", nil
	}
	bound, err := z.directory.NodeNeeds(ctx, node, "pods", a.Namespace, a.Name)
	if err != nil {
		return false, "", fmt.Errorf("looking for the pods of node %s: %w", node, err)
	}
	if !bound {
		return false, fmt.Sprintf("node '%s' can only reach pods with spec.nodeName set to itself", node), nil
	}
	return true, "", nil
}

func authorizeNodeNode(node string, a Attributes) (bool, string, error) {
	switch a.Verb {
	case "get", "list", "watch":
		return a.Subresource == "" || a.Name == node, "", nil
	case "create":
		// The name is checked by core/api, which knows it.
		return a.Subresource == "" && (a.Name == "" || a.Name == node), "", nil
	case "update", "patch":
		if a.Name != node {
			return false, fmt.Sprintf("node '%s' is not allowed to modify node '%s'", node, a.Name), nil
		}
		return a.Subresource == "" || a.Subresource == "status", "", nil
	}
	return false, "", nil
}

// NodeLeases is the namespace of the leases by which nodes show that they are
// alive.
const NodeLeases = "kube-node-lease"

func authorizeNodeLease(node string, a Attributes) (bool, string, error) {
	if a.Namespace != NodeLeases {
		return false, fmt.Sprintf("can only access leases in the %q system namespace", NodeLeases), nil
	}
	switch a.Verb {
	case "get", "update", "patch", "delete":
		if a.Name != node {
			return false, "can only access node lease with the same name as the requesting node", nil
		}
	case "create":
		if a.Name != "" && a.Name != node {
			return false, "can only access node lease with the same name as the requesting node", nil
		}
	default:
		return false, "", nil
	}
	return true, "", nil
}
