package controlplane_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/controlplane"
	"github.com/pintle-io/pintle/core/loop/looptest"
)

// A new cluster gets the default plugins, valid as they are; what the operator
// takes away later stays away.
func TestEnsurePlugins(t *testing.T) {
	e := looptest.New(t)
	plugins := api.Target{Resource: schema.GroupResource{Group: "pintle.io", Resource: "plugins"}}
	ensure := func() int {
		t.Helper()
		if err := controlplane.EnsurePlugins(t.Context(), e.API, controlplane.DefaultPlugins()); err != nil {
			t.Fatal(err)
		}
		list, err := e.API.List(e.Admin, plugins, api.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return len(list.Items)
	}
	all := len(controlplane.DefaultPlugins())
	if got := ensure(); got != all || all == 0 {
		t.Fatalf("%d plugins, not the %d default ones", got, all)
	}
	nfs := plugins
	nfs.Name = "nfs"
	if _, _, err := e.API.Delete(e.Admin, nfs, api.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := ensure(); got != all-1 {
		t.Errorf("%d plugins after one of %d was deleted", got, all)
	}
}
