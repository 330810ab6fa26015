package engine

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/runtime"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/namespaces"
)

// restart ends the engine and starts another one on what it left.
func (n *node) restart(meanwhile func()) {
	n.t.Helper()
	if err := n.Close(); err != nil {
		n.t.Fatal(err)
	}
	if meanwhile != nil {
		meanwhile()
	}
	n.Engine = shared.start(n.t)
}

func TestRestartFindsEverything(t *testing.T) {
	n := newNode(t)
	s := n.sandbox(func(req *runtime.CreateSandboxRequest) {
		req.Labels, req.Annotations = map[string]string{"l": "1"}, map[string]string{"a": "2"}
	})
	created := n.create(s, []string{"exit", "0"}, nil)
	running := n.run(s, []string{"sleep"}, func(req *runtime.CreateContainerRequest) { req.Labels = map[string]string{"c": "3"} })
	exited := n.end(n.run(s, []string{"exit", "5"}, nil))
	ends := n.run(s, []string{"lines-slowly", "5", "100"}, nil)
	oom := n.run(s, []string{"allocate", "200"}, func(req *runtime.CreateContainerRequest) {
		req.Resources = &runtime.LinuxResources{MemoryLimitBytes: 32 << 20}
	})
	n.restart(func() {
		n.until("a container to end on its own", func() bool {
			_, err := os.Stat(fmt.Sprintf("/proc/%d", ends.GetPid()))
			return err != nil
		})
	})
	list, err := n.ListSandboxes(n.ctx, &runtime.ListSandboxesRequest{SandboxId: s.GetId()})
	if err != nil || len(list.Sandboxes) != 1 {
		t.Fatalf("sandbox: %v, %v", list, err)
	}
	if got := list.Sandboxes[0]; got.String() != s.String() {
		t.Errorf("sandbox changed:\nwas %v\nis  %v", s, got)
	}
	if got := n.get(created.GetId()); got.String() != created.String() {
		t.Errorf("created container changed:\nwas %v\nis  %v", created, got)
	}
	if got := n.get(running.GetId()); got.String() != running.String() {
		t.Errorf("running container changed:\nwas %v\nis  %v", running, got)
	}
	if got := n.get(exited.GetId()); got.String() != exited.String() {
		t.Errorf("exited container changed:\nwas %v\nis  %v", exited, got)
	}
	if got := n.end(ends); got.GetExitCode() != 0 || got.GetReason() != runtime.ReasonCompleted || got.GetFinishedAt().AsTime().Before(got.GetStartedAt().AsTime()) {
		t.Errorf("container that ended meanwhile: %v", got)
	}
	if got := n.end(oom); got.GetReason() != runtime.ReasonOOMKilled {
		t.Errorf("container killed for memory: %v", got)
	}
	if got := n.log(ends, "stdout"); got != "0\n1\n2\n3\n4\n" {
		t.Errorf("output from meanwhile: %q", got)
	}
	if _, err := n.StartContainer(n.ctx, &runtime.StartContainerRequest{ContainerId: created.GetId()}); err != nil {
		t.Error(err)
	}
	n.end(created)
	// What a first process started, a second one stops.
	if _, err := n.StopContainer(n.ctx, &runtime.StopContainerRequest{ContainerId: running.GetId()}); err != nil {
		t.Error(err)
	}
	n.restart(nil)
	if got := n.get(oom.GetId()); got.GetReason() != runtime.ReasonOOMKilled {
		t.Errorf("after one more restart: %v", got)
	}
}

func TestOutputSurvivesRestarts(t *testing.T) {
	n := newNode(t)
	const lines = 60000
	c := n.run(n.sandbox(nil), []string{"lines", fmt.Sprint(lines), "100"}, nil)
	for range 3 {
		n.restart(nil)
	}
	n.end(c)
	got := n.log(c, "stdout")
	if count := strings.Count(got, "\n"); count != lines {
		t.Fatalf("%d lines of %d", count, lines)
	}
	i := 0
	for line := range strings.Lines(got) {
		if !strings.HasPrefix(line, fmt.Sprint(i)+" ") {
			t.Fatalf("line %d is %.20q", i, line)
		}
		i++
	}
}

func TestContainerdRestart(t *testing.T) {
	n := newNode(t)
	s := n.sandbox(nil)
	c := n.run(s, []string{"sleep"}, nil)
	ends := n.run(s, []string{"lines-slowly", "10", "100"}, nil)
	data, err := os.ReadFile(shared.options().RunDir + "/containerd/process.json")
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscanf(string(data), `{"pid":%d`, &pid); err != nil {
		t.Fatal(err)
	}
	if err := killProcess(pid); err != nil {
		t.Fatal(err)
	}
	n.until("the plugin to notice", func() bool { return n.Health(n.ctx) != nil })
	n.until("containerd to be back", func() bool { return n.Health(n.ctx) == nil })
	if got := n.get(c.GetId()); got.GetState() != pluginv1.Container_STATE_RUNNING || got.GetPid() != c.GetPid() {
		t.Errorf("after a restart of containerd: %v", got)
	}
	if got := n.end(ends); got.GetReason() != runtime.ReasonCompleted {
		t.Errorf("container that ended meanwhile: %v", got)
	}
	if got := n.log(ends, "stdout"); strings.Count(got, "\n") != 10 {
		t.Errorf("its output: %q", got)
	}
}

// TestMachineRestart takes away what a restart of the machine takes away: tasks,
// namespaces and the run directory.
func TestMachineRestart(t *testing.T) {
	n := newNode(t)
	s := n.sandbox(func(req *runtime.CreateSandboxRequest) { req.Pid = pluginv1.NamespaceMode_NAMESPACE_MODE_POD })
	created := n.create(s, []string{"sleep"}, nil)
	running := n.run(s, []string{"sleep"}, nil)
	exited := n.end(n.run(s, []string{"exit", "5"}, nil))
	for _, id := range []string{running.GetId(), exited.GetId(), s.GetId() + holderSuffix} {
		if id == running.GetId() {
			// As the machine does it: nobody is left to note the exit.
			c := n.table.container(id)
			c.mu.Lock()
			c.ending = true
			c.mu.Unlock()
		}
		if err := n.deleteTask(n.ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	n.restart(func() {
		if err := errors.Join(
			unmountAll(n.files.shm(s.GetId())), namespaces.Release(n.files.sandboxDir(s.GetId())),
			os.RemoveAll(n.files.sandboxDir(s.GetId())),
			os.RemoveAll(n.files.containerDir(running.GetId())), os.RemoveAll(n.files.containerDir(exited.GetId())),
		); err != nil {
			t.Fatal(err)
		}
	})
	list, err := n.ListSandboxes(n.ctx, &runtime.ListSandboxesRequest{SandboxId: s.GetId()})
	if err != nil || len(list.Sandboxes) != 1 || list.Sandboxes[0].GetState() != pluginv1.Sandbox_STATE_STOPPED || list.Sandboxes[0].GetPod().GetUid() != s.GetPod().GetUid() {
		t.Errorf("sandbox: %v, %v", list, err)
	}
	for _, c := range []*runtime.Container{created, running} {
		if got := n.end(c); got.GetExitCode() != unknownExit || got.GetReason() != runtime.ReasonError || got.GetMessage() == "" {
			t.Errorf("container that nobody knows the end of: %v", got)
		}
	}
	if got := n.get(exited.GetId()); got.String() != exited.String() {
		t.Errorf("exited container changed:\nwas %v\nis  %v", exited, got)
	}
	if _, err := n.RemoveSandbox(n.ctx, &runtime.RemoveSandboxRequest{SandboxId: s.GetId()}); err != nil {
		t.Error(err)
	}
	records, err := n.client.ContainerService().List(n.ctx, "labels.\""+labelSandbox+"\"=="+s.GetId())
	if err != nil || len(records) != 0 {
		t.Errorf("left in containerd: %v, %v", records, err)
	}
}
