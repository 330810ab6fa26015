package main

import (
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/controller"
	"github.com/pintle-io/pintle/sdk/plugin"
)

func main() {
	controller.Serve(plugin.Info{
		Name:        "endpoints",
		Version:     "1.0.0",
		Permissions: permissions(),
	}, spec(), reconciler{})
}

func permissions() []*pluginv1.Permission {
	return []*pluginv1.Permission{
		{Resources: []string{"services", "pods", "nodes"}, Verbs: []string{"list", "watch"}},
		{Resources: []string{"endpoints"}, Verbs: []string{"list", "watch", "create", "update", "delete"}},
		{ApiGroup: "discovery.k8s.io", Resources: []string{"endpointslices"}, Verbs: []string{"list", "watch", "create", "update", "delete"}},
		{Resources: []string{"events"}, Verbs: []string{"create", "update", "patch"}},
	}
}
