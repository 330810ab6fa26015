package engine

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/runtime"
)

// TestLeaveAContainerdOfOthers uses a containerd that is not the plugin's own,
// and takes back what it made there and nothing else.
func TestLeaveAContainerdOfOthers(t *testing.T) {
	owner := newNode(t)
	state, run := t.TempDir(), t.TempDir()
	config, err := json.Marshal(Config{Address: owner.daemon.Address, Namespace: "of-others"})
	if err != nil {
		t.Fatal(err)
	}
	e := New()
	if err := e.Configure(owner.ctx, &plugin.ConfigureRequest{Config: config, Node: &pluginv1.NodeInfo{StateDir: state, RunDir: run}}); err != nil {
		t.Fatal(err)
	}
	n := &node{Engine: e, t: t, ctx: owner.ctx, dir: t.TempDir()}
	if _, err := n.ImportImage(n.ctx, &runtime.ImportImageRequest{}, shared.archive(t, shared.image, testImage)); err != nil {
		t.Fatal(err)
	}
	req := n.sandboxRequest()
	s, err := n.CreateSandbox(n.ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	n.run(s.GetSandbox(), []string{"sleep"}, nil)
	if err := Leave(n.ctx, state, run, config); err == nil {
		t.Error("it leaves while the plugin runs")
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Leave(n.ctx, state, run, config); err != nil {
			t.Fatal(err)
		}
	}
	namespaces, err := owner.client.NamespaceService().List(n.ctx)
	if err != nil || slices.Contains(namespaces, "of-others") {
		t.Errorf("namespaces in containerd: %v, %v", namespaces, err)
	}
	for _, dir := range []string{state, run} {
		if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	}
	if _, err := os.Stat("/sys/fs/cgroup/memory" + req.GetCgroupParent()); err == nil {
		t.Error("the cgroup is left")
	}
	if _, err := owner.GetImage(n.ctx, &runtime.GetImageRequest{Image: testImage}); err != nil {
		t.Errorf("what belongs to others is gone: %v", err)
	}
}
