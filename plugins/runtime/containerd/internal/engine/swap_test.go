package engine

import (
	"strings"
	"testing"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/runtime"
)

// TestSwap has two processes' worth of engines at once, as while a plugin is
// replaced by another version of itself.
func TestSwap(t *testing.T) {
	old := newNode(t)
	s := old.sandbox(nil)
	writes := old.run(s, []string{"lines", "40000", "100"}, nil)
	removed := old.run(s, []string{"sleep"}, nil)
	created := old.create(s, []string{"sleep"}, nil)

	next := *old
	next.Engine = shared.start(t)
	if got := next.get(removed.GetId()); got.GetState() != pluginv1.Container_STATE_RUNNING {
		t.Errorf("the new engine sees %v", got)
	}
	mine := next.run(s, []string{"print", "by the new one", ""}, nil)
	if got := next.log(next.end(mine), "stdout"); got != "by the new one\n" {
		t.Errorf("output of a container of the new engine: %q", got)
	}
	// What the old one does last.
	later := old.sandbox(nil)
	last := old.run(later, []string{"sleep"}, nil)
	if _, err := old.StartContainer(old.ctx, &runtime.StartContainerRequest{ContainerId: created.GetId()}); err != nil {
		t.Fatal(err)
	}
	if _, err := old.RemoveContainer(old.ctx, &runtime.RemoveContainerRequest{ContainerId: removed.GetId()}); err != nil {
		t.Fatal(err)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	next.until("the new engine to take over", func() bool {
		list, err := next.ListContainers(next.ctx, &runtime.ListContainersRequest{})
		if err != nil {
			t.Fatal(err)
		}
		states := map[string]pluginv1.Container_State{}
		for _, c := range list.GetContainers() {
			states[c.GetId()] = c.GetState()
		}
		_, still := states[removed.GetId()]
		return !still && states[last.GetId()] == pluginv1.Container_STATE_RUNNING && states[created.GetId()] == pluginv1.Container_STATE_RUNNING
	})
	next.end(writes)
	if count := strings.Count(next.log(writes, "stdout"), "\n"); count != 40000 {
		t.Errorf("%d lines of 40000", count)
	}
	if _, err := next.StopContainer(next.ctx, &runtime.StopContainerRequest{ContainerId: last.GetId()}); err != nil {
		t.Error(err)
	}
	if _, err := next.RemoveSandbox(next.ctx, &runtime.RemoveSandboxRequest{SandboxId: later.GetId()}); err != nil {
		t.Error(err)
	}
	if _, err := next.RemoveSandbox(next.ctx, &runtime.RemoveSandboxRequest{SandboxId: s.GetId()}); err != nil {
		t.Error(err)
	}
}

func TestConfigureMayBeRepeated(t *testing.T) {
	o := shared.options()
	e := New()
	node := &pluginv1.NodeInfo{StateDir: o.StateDir, RunDir: o.RunDir}
	for _, config := range []string{`{"nonsense": 1}`, `{"address": "/nothing/here"}`, `{"ownDaemon": true, "snapshotter": "none"}`} {
		if err := e.Configure(t.Context(), &plugin.ConfigureRequest{Config: []byte(config), Node: node}); err == nil {
			t.Errorf("%s is accepted", config)
		}
	}
	if err := e.Configure(t.Context(), &plugin.ConfigureRequest{Config: []byte(`{"ownDaemon": true}`), Node: node}); err != nil {
		t.Error(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
