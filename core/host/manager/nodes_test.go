package manager

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	pintlev1 "github.com/pintle-io/pintle/sdk/api/v1"
)

// node returns options of a node's manager.
func node(t *testing.T, name string, labels map[string]string) func(*Options) {
	state := t.TempDir()
	return func(o *Options) {
		o.NodeName = name
		o.Types = []pluginv1.PluginType{pluginv1.PluginType_PLUGIN_TYPE_VOLUME}
		o.NodeInfo = func() *pluginv1.NodeInfo { return &pluginv1.NodeInfo{Name: name} }
		o.NodeLabels = func() map[string]string { return labels }
		o.StateDir, o.RunDir = state, state+"/run"
	}
}

func TestNodes(t *testing.T) {
	api := newFakeAPI(t)
	var gone atomic.Value
	gone.Store("")
	server := newRig(t, api, func(o *Options) {
		o.NodeGone = func(name string) bool { return gone.Load() == name }
	})
	var info atomic.Pointer[pluginv1.NodeInfo]
	info.Store(&pluginv1.NodeInfo{Name: "n1"})
	n1 := newRig(t, api, func(o *Options) {
		node(t, "n1", map[string]string{"disk": "ssd"})(o)
		o.NodeInfo = info.Load
	})
	n2 := newRig(t, api, node(t, "n2", nil))
	api.create(object("v", pintlev1.PluginSpec{Type: pintlev1.VolumePlugin}))
	s := server.eventually(t, "v", "both nodes run it", func(s pintlev1.PluginStatus) bool { return s.Ready == "2/2" })
	if !running(s) || len(s.Nodes) != 2 || s.Nodes[0].Node != "n1" || s.Nodes[0].PID == 0 || s.Version != "1" || len(s.Capabilities) != 1 {
		t.Errorf("the status is %+v", s)
	}
	told, err := os.ReadFile(filepath.Join(n1.opts.StateDir, "volume-v", "node"))
	if err != nil || string(told) != "n1" {
		t.Errorf("the plugin was told to be on node %q, %v", told, err)
	}

	api.update("v", func(s *pintlev1.PluginSpec) { s.NodeSelector = map[string]string{"disk": "ssd"} })
	server.eventually(t, "v", "one node runs it", func(s pintlev1.PluginStatus) bool { return s.Ready == "1/1" && s.Nodes[0].Node == "n1" })
	if _, ok := n2.Supervisor(pluginv1.PluginType_PLUGIN_TYPE_VOLUME, "v"); ok {
		t.Error("n2 runs a plugin that is not for it")
	}

	// The node changes: the plugin is swapped for one that knows.
	before := server.api.get("v").Status.Nodes[0].PID
	info.Store(&pluginv1.NodeInfo{Name: "n1", PodCidrs: []string{"10.0.0.0/24"}})
	n1.Resync()
	server.eventually(t, "v", "the plugin was swapped", func(s pintlev1.PluginStatus) bool {
		return len(s.Nodes) == 1 && s.Nodes[0].PID != before && s.Nodes[0].Phase == pintlev1.PluginRunning
	})

	// A node that was removed without saying goodbye leaves the status.
	api.mu.Lock()
	lost := api.objects["v"].DeepCopy()
	lost.Status.Nodes = append(lost.Status.Nodes, pintlev1.PluginNodeStatus{Node: "n3", PluginProcess: pintlev1.PluginProcess{Phase: pintlev1.PluginRunning}})
	api.store("MODIFIED", lost)
	api.mu.Unlock()
	server.eventually(t, "v", "the lost node counts", func(s pintlev1.PluginStatus) bool { return s.Ready == "2/2" })
	gone.Store("n3")
	server.Resync()
	server.eventually(t, "v", "the lost node is gone", func(s pintlev1.PluginStatus) bool { return s.Ready == "1/1" && len(s.Nodes) == 1 })

	api.update("v", func(s *pintlev1.PluginSpec) { s.Mode = pintlev1.PluginDisabled })
	server.eventually(t, "v", "nothing runs", func(s pintlev1.PluginStatus) bool {
		return len(s.Nodes) == 0 && s.Phase == pintlev1.PluginStopped && s.Ready == "0/0"
	})
}

func TestSummary(t *testing.T) {
	line := func(node string, phase pintlev1.PluginPhase, version, lastError string) pintlev1.PluginNodeStatus {
		return pintlev1.PluginNodeStatus{Node: node, PluginProcess: pintlev1.PluginProcess{Phase: phase, Version: version, LastError: lastError, Restarts: 1}}
	}
	sum, ready := summarize([]pintlev1.PluginNodeStatus{
		line("a", pintlev1.PluginRunning, "2", "old story"),
		line("b", pintlev1.PluginCrashLoop, "", "boom"),
		line("c", pintlev1.PluginRunning, "1", ""),
	})
	if sum.Phase != pintlev1.PluginCrashLoop || ready != "2/3" || sum.Version != "1,2" || sum.LastError != "node b: boom" || sum.Restarts != 3 {
		t.Errorf("the sum is %+v, %s", sum, ready)
	}
	if sum, ready := summarize(nil); sum.Phase != pintlev1.PluginPending || ready != "0/0" {
		t.Errorf("the sum of nothing is %+v, %s", sum, ready)
	}
}
