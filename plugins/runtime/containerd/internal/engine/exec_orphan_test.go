package engine

import (
	"path/filepath"
	"strings"
	"testing"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"

	"github.com/pintle-io/pintle/sdk/runtime"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/output"
)

// TestCommandsOfADeadPluginEnd makes a command as a plugin that was killed
// leaves it, and looks whether the next one ends it.
func TestCommandsOfADeadPluginEnd(t *testing.T) {
	n := newNode(t)
	c := n.run(n.sandbox(nil), []string{"sleep"}, nil)
	process, err := n.execProcess(n.ctx, n.table.container(c.GetId()), &runtime.ExecStart{Command: []string{"/probe", "sleep"}})
	if err != nil {
		t.Fatal(err)
	}
	id := execPrefix + "orphan"
	dir := filepath.Join(n.files.containerDir(c.GetId()), id)
	paths, err := output.MakeFIFOs(dir, false, false)
	if err != nil {
		t.Fatal(err)
	}
	x := &execution{engine: n.Engine, containerID: c.GetId(), id: id, paths: paths}
	if err := x.open(); err != nil {
		t.Fatal(err)
	}
	defer x.close()
	if _, err := call(n.ctx, n.tasksClient().Exec, &tasksapi.ExecProcessRequest{ContainerID: c.GetId(), ExecID: id, Spec: process, Stdout: paths.Stdout, Stderr: paths.Stderr}); err != nil {
		t.Fatal(err)
	}
	if _, err := call(n.ctx, n.tasksClient().Start, &tasksapi.StartRequest{ContainerID: c.GetId(), ExecID: id}); err != nil {
		t.Fatal(err)
	}
	processes := func() int {
		stats, err := n.Stats(n.ctx, &runtime.StatsRequest{ContainerId: c.GetId()})
		if err != nil || len(stats.GetStats()) != 1 {
			t.Fatalf("%v, %v", stats, err)
		}
		out, err := call(n.ctx, n.tasksClient().ListPids, &tasksapi.ListPidsRequest{ContainerID: c.GetId()})
		if err != nil {
			t.Fatal(err)
		}
		return len(out.Processes)
	}
	if got := processes(); got != 2 {
		t.Fatalf("%d processes in the container, not 2", got)
	}
	n.restart(nil)
	if got := processes(); got != 1 {
		t.Errorf("%d processes in the container after a restart, not 1", got)
	}
	if left, _ := filepath.Glob(filepath.Join(strings.TrimSuffix(dir, "orphan") + "*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}
