package main

import (
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/controller"
	"github.com/pintle-io/pintle/sdk/plugin"
)

func main() {
	controller.Serve(plugin.Info{
		Name:        "replication",
		Version:     "1.0.0",
		Permissions: permissions(),
	}, spec(), reconciler{})
}

func permissions() []*pluginv1.Permission {
	return []*pluginv1.Permission{
		{Resources: []string{"pods"}, Verbs: []string{"list", "watch", "create", "patch", "delete"}},
		{Resources: []string{"replicationcontrollers"}, Verbs: []string{"get", "list", "watch"}},
		{Resources: []string{"replicationcontrollers/status"}, Verbs: []string{"patch"}},
		{ApiGroup: "apps", Resources: []string{"replicasets"}, Verbs: []string{"get", "list", "watch"}},
		{ApiGroup: "apps", Resources: []string{"replicasets/status"}, Verbs: []string{"patch"}},
		{Resources: []string{"events"}, Verbs: []string{"create", "update", "patch"}},
	}
}
