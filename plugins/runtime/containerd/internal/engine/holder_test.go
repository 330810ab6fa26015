package engine

import (
	"fmt"
	"os"
	"strings"
	"testing"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/runtime"
)

func TestSharedProcessNamespace(t *testing.T) {
	n := newNode(t)
	s := n.sandbox(func(req *runtime.CreateSandboxRequest) { req.Pid = pluginv1.NamespaceMode_NAMESPACE_MODE_POD })
	first := n.run(s, []string{"sleep"}, nil)
	second := n.run(s, []string{"sleep"}, nil)
	link := func(c *runtime.Container) string {
		target, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", c.GetPid()))
		if err != nil {
			t.Fatal(err)
		}
		return target
	}
	if link(first) != link(second) {
		t.Error("the process namespace is not shared")
	}
	if got := n.output(s, []string{"read", "/proc/1/cmdline"}, nil); got != "/holder\x00" {
		t.Errorf("first process: %q", got)
	}
	if _, err := n.StopContainer(n.ctx, &runtime.StopContainerRequest{ContainerId: first.GetId()}); err != nil {
		t.Fatal(err)
	}
	if n.get(second.GetId()).GetState() != pluginv1.Container_STATE_RUNNING {
		t.Error("the end of the first container took the second along")
	}
	n.restart(nil)
	if got := n.output(s, []string{"read", "/proc/1/cmdline"}, nil); got != "/holder\x00" {
		t.Errorf("first process after a restart: %q", got)
	}
	list, err := n.ListContainers(n.ctx, &runtime.ListContainersRequest{SandboxId: s.GetId()})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list.Containers {
		if strings.HasSuffix(c.GetId(), holderSuffix) {
			t.Error("the holder is listed as a container")
		}
	}
}

func TestTargetContainer(t *testing.T) {
	n := newNode(t)
	s := n.sandbox(nil)
	target := n.run(s, []string{"sleep"}, nil)
	got := n.output(s, []string{"read", "/proc/1/cmdline"}, func(req *runtime.CreateContainerRequest) { req.TargetContainerId = target.GetId() })
	if got != "/probe\x00sleep\x00" {
		t.Errorf("first process: %q", got)
	}
}
