package auth

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/fields"
)

// Attributes describe a request to be authorized.
type Attributes struct {
	User User
	// Verb is Kubernetes': get, list, watch, create, update, patch, delete,
	// deletecollection; for a path that is no resource the lower-case method.
	Verb string
	// Group, Resource and Subresource are empty for a path that is no resource.
	Group, Resource, Subresource string
	Namespace, Name              string
	// Fields is the field selector of a list or watch; nil where there is none.
	Fields fields.Selector
	// Path of a request that is not for a resource.
	Path string
}

// Authorizer decides whether a request is allowed. The reason of a refusal is
// for people and may be empty.
type Authorizer interface {
	Authorize(ctx context.Context, a Attributes) (allowed bool, reason string, err error)
}

// Directory is what the built-in authorizer must know of the cluster.
type Directory interface {
	// NodeNeeds tells whether a pod that is bound to the node refers to the
	// named object: resource is "pods" (the pod itself), "secrets",
	// "configmaps" or "serviceaccounts".
	NodeNeeds(ctx context.Context, node, resource, namespace, name string) (bool, error)
	// PluginAllows tells whether a rule of a plugin allows a request: those that
	// its object grants or, where that is silent, those that the plugin declares.
	PluginAllows(ctx context.Context, pluginType, name string, a Attributes) (bool, error)
}

// Rule allows verbs on resources of an API group; "*" stands for all.
// A resource may name a subresource: "pods/binding".
type Rule struct {
	Group     string
	Resources []string
	Verbs     []string
}

// NewAuthorizer returns the built-in authorizer.
func NewAuthorizer(d Directory) Authorizer { return &authorizer{directory: d} }

type authorizer struct{ directory Directory }

func (z *authorizer) Authorize(ctx context.Context, a Attributes) (bool, string, error) {
	if a.User.InGroup(GroupMasters) {
		return true, "", nil
	}
	if a.Resource == "" && openPath(a) {
		return true, "", nil
	}
	if node, ok := a.User.NodeName(); ok {
		return z.authorizeNode(ctx, node, a)
	}
	if pluginType, name, ok := a.User.PluginName(); ok {
		return z.authorizePlugin(ctx, pluginType, name, a)
	}
	return false, "", nil
}

// openPath tells whether everybody may read a path. Discovery and the schemas
// are open to those who proved who they are.
func openPath(a Attributes) bool {
	if a.Verb != "get" && a.Verb != "head" {
		return false
	}
	switch a.Path {
	case "/livez", "/readyz", "/healthz", "/version", "/version/":
		return true
	}
	return a.User.InGroup(GroupAuthenticated) && discoveryPath(a.Path)
}

func (z *authorizer) authorizePlugin(ctx context.Context, pluginType, name string, a Attributes) (bool, string, error) {
	if a.Resource == "" {
		return false, "", nil
	}
	allowed, err := z.directory.PluginAllows(ctx, pluginType, name, a)
	if err != nil {
		return false, "", fmt.Errorf("reading the permissions of plugin %s/%s: %w", pluginType, name, err)
	}
	if allowed {
		return true, "", nil
	}
	return false, fmt.Sprintf("plugin %s/%s was not granted it: see spec.permissions of its Plugin object", pluginType, name), nil
}
