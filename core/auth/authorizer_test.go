package auth

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/fields"
)

type fakeDirectory struct{}

func (fakeDirectory) NodeNeeds(_ context.Context, node, resource, namespace, name string) (bool, error) {
	return node == "n1" && namespace == "default" && name == "mine", nil
}

func (fakeDirectory) PluginAllows(_ context.Context, pluginType, name string, a Attributes) (bool, error) {
	if pluginType != "controller" || name != "replication" {
		return false, nil
	}
	rules := []Rule{
		{Group: "", Resources: []string{"pods", "replicationcontrollers/status"}, Verbs: []string{"*"}},
		{Group: "apps", Resources: []string{"*"}, Verbs: []string{"get"}},
	}
	return rules[0].Allows(a) || rules[1].Allows(a), nil
}

func TestAuthorizer(t *testing.T) {
	z := NewAuthorizer(fakeDirectory{})
	node, plugin := Node("n1"), Plugin("controller", "replication")
	impostor := User{Name: "system:node:n1", Groups: []string{GroupAuthenticated}}
	onNode := func(name string) fields.Selector { return fields.OneTermEqualSelector("spec.nodeName", name) }
	tests := []struct {
		name string
		a    Attributes
		want bool
	}{
		{"admin", Attributes{User: Admin(), Verb: "delete", Resource: "nodes"}, true},
		{"part of the core", Attributes{User: System("gc"), Verb: "delete", Resource: "pods"}, true},
		{"anonymous health", Attributes{User: Anonymous(), Verb: "get", Path: "/readyz"}, true},
		{"anonymous discovery", Attributes{User: Anonymous(), Verb: "get", Path: "/api"}, false},
		{"anonymous pods", Attributes{User: Anonymous(), Verb: "list", Resource: "pods"}, false},
		{"node discovery", Attributes{User: node, Verb: "get", Path: "/apis/apps/v1"}, true},
		{"node metrics", Attributes{User: node, Verb: "get", Path: "/metrics"}, false},

		{"node gets its pod", Attributes{User: node, Verb: "get", Resource: "pods", Namespace: "default", Name: "mine"}, true},
		{"node gets another pod", Attributes{User: node, Verb: "get", Resource: "pods", Namespace: "default", Name: "other"}, false},
		{"node lists its pods", Attributes{User: node, Verb: "list", Resource: "pods", Fields: onNode("n1")}, true},
		{"node lists all pods", Attributes{User: node, Verb: "list", Resource: "pods"}, false},
		{"node watches another's pods", Attributes{User: node, Verb: "watch", Resource: "pods", Fields: onNode("n2")}, false},
		{"node writes its pod's status", Attributes{User: node, Verb: "patch", Resource: "pods", Subresource: "status", Namespace: "default", Name: "mine"}, true},
		{"node writes its pod's spec", Attributes{User: node, Verb: "update", Resource: "pods", Namespace: "default", Name: "mine"}, false},
		{"node makes a pod", Attributes{User: node, Verb: "create", Resource: "pods", Namespace: "default"}, false},
		{"node binds a pod", Attributes{User: node, Verb: "create", Resource: "pods", Subresource: "binding", Namespace: "default", Name: "mine"}, false},
		{"node reads a secret it needs", Attributes{User: node, Verb: "get", Resource: "secrets", Namespace: "default", Name: "mine"}, true},
		{"node reads another secret", Attributes{User: node, Verb: "get", Resource: "secrets", Namespace: "default", Name: "other"}, false},
		{"node lists secrets", Attributes{User: node, Verb: "list", Resource: "secrets", Namespace: "default"}, false},
		{"node writes a secret", Attributes{User: node, Verb: "update", Resource: "secrets", Namespace: "default", Name: "mine"}, false},
		{"node writes its node", Attributes{User: node, Verb: "update", Resource: "nodes", Subresource: "status", Name: "n1"}, true},
		{"node writes another node", Attributes{User: node, Verb: "update", Resource: "nodes", Subresource: "status", Name: "n2"}, false},
		{"node deletes its node", Attributes{User: node, Verb: "delete", Resource: "nodes", Name: "n1"}, false},
		{"node renews its lease", Attributes{User: node, Verb: "update", Group: "coordination.k8s.io", Resource: "leases", Namespace: NodeLeases, Name: "n1"}, true},
		{"node renews another lease", Attributes{User: node, Verb: "update", Group: "coordination.k8s.io", Resource: "leases", Namespace: NodeLeases, Name: "n2"}, false},
		{"node takes a lease elsewhere", Attributes{User: node, Verb: "create", Group: "coordination.k8s.io", Resource: "leases", Namespace: "default"}, false},
		{"node watches services", Attributes{User: node, Verb: "watch", Resource: "services"}, true},
		{"node writes services", Attributes{User: node, Verb: "update", Resource: "services", Namespace: "default", Name: "x"}, false},
		{"node of no group", Attributes{User: impostor, Verb: "watch", Resource: "services"}, false},

		{"plugin makes pods", Attributes{User: plugin, Verb: "create", Resource: "pods"}, true},
		{"plugin binds pods", Attributes{User: plugin, Verb: "create", Resource: "pods", Subresource: "binding"}, false},
		{"plugin writes status", Attributes{User: plugin, Verb: "update", Resource: "replicationcontrollers", Subresource: "status"}, true},
		{"plugin writes spec", Attributes{User: plugin, Verb: "update", Resource: "replicationcontrollers"}, false},
		{"plugin reads apps", Attributes{User: plugin, Verb: "get", Group: "apps", Resource: "replicasets"}, true},
		{"plugin deletes a namespace", Attributes{User: plugin, Verb: "delete", Resource: "namespaces"}, false},
		{"unknown plugin", Attributes{User: Plugin("scheduler", "x"), Verb: "get", Resource: "pods"}, false},
	}
	for _, tt := range tests {
		if got, reason, err := z.Authorize(t.Context(), tt.a); err != nil || got != tt.want {
			t.Errorf("%s: allowed %v (%q), %v", tt.name, got, reason, err)
		}
	}
}
