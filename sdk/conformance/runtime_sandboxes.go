package conformance

import (
	"fmt"
	"os"
	"strings"

	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
)

func runtimeSandboxChecks() []Check {
	return []Check{
		runtimeCheck("sandbox.create", "A new sandbox is READY and is listed as it was asked for.", checkSandboxCreate),
		runtimeCheck("sandbox.create.twice", "A repeated CreateSandbox returns what is there; one for another pod is AlreadyExists.", checkSandboxTwice),
		runtimeCheck("sandbox.create.invalid", "An ID that is none and an unknown namespace mode are InvalidArgument.", checkSandboxInvalid),
		runtimeCheck("sandbox.network", "The network namespace of a sandbox is pinned at its path, and gone after StopSandbox.", checkSandboxNetwork),
		runtimeCheck("sandbox.stop", "StopSandbox ends every container; a stopped sandbox takes no new one and starts none; it may be repeated.", needsRunning(checkSandboxStop)),
		runtimeCheck("sandbox.remove", "RemoveSandbox takes the containers along, running or not, and succeeds where there is no sandbox.", needsRunning(checkSandboxRemove)),
		runtimeCheck("sandbox.restart", "A plugin that was killed finds its sandboxes again.", checkSandboxRestart),
	}
}

func (w *runtimeWorld) listSandbox(id string) ([]*runtime.Sandbox, error) {
	resp, err := w.client.ListSandboxes(w, &runtime.ListSandboxesRequest{SandboxId: id})
	return resp.GetSandboxes(), err
}

func checkSandboxCreate(w *runtimeWorld) error {
	req := w.sandboxRequest()
	w.made = append(w.made, req.GetSandboxId())
	resp, err := w.client.CreateSandbox(w, req)
	if err != nil {
		return err
	}
	list, err := w.listSandbox(req.GetSandboxId())
	if err != nil {
		return err
	}
	if len(list) != 1 || !proto.Equal(list[0], resp.GetSandbox()) {
		return fmt.Errorf("created %v, listed %v", resp.GetSandbox(), list)
	}
	s := list[0]
	if s.GetState() != pluginv1.Sandbox_STATE_READY || s.GetCreatedAt() == nil || !proto.Equal(s.GetPod(), req.GetPod()) ||
		s.GetLabels()["label"] == "" || s.GetAnnotations()["annotation"] == "" {
		return fmt.Errorf("it is not what was asked for: %v", s)
	}
	all, err := w.listSandbox("")
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.GetId() == s.GetId() {
			return nil
		}
	}
	return fmt.Errorf("the list of all sandboxes lacks it")
}

func checkSandboxTwice(w *runtimeWorld) error {
	req := w.sandboxRequest()
	w.made = append(w.made, req.GetSandboxId())
	first, err := w.client.CreateSandbox(w, req)
	if err != nil {
		return err
	}
	second, err := w.client.CreateSandbox(w, req)
	if err != nil {
		return fmt.Errorf("the second time: %w", err)
	}
	if !proto.Equal(first, second) {
		return fmt.Errorf("the first call returned %v, the second %v", first, second)
	}
	other := proto.CloneOf(req)
	other.Pod.Uid = "another"
	_, err = w.client.CreateSandbox(w, other)
	return mustBe(err, errs.ClassAlreadyExists, "CreateSandbox with a taken ID for another pod")
}

func checkSandboxInvalid(w *runtimeWorld) error {
	for _, id := range []string{"", "../../etc", "a/b", "-x", strings.Repeat("x", 200)} {
		req := w.sandboxRequest()
		req.SandboxId = id
		_, err := w.client.CreateSandbox(w, req)
		if err := mustBe(err, errs.ClassInvalidArgument, fmt.Sprintf("CreateSandbox with the ID %.20q", id)); err != nil {
			return err
		}
	}
	req := w.sandboxRequest()
	req.Network = 77
	_, err := w.client.CreateSandbox(w, req)
	return mustBe(err, errs.ClassInvalidArgument, "CreateSandbox with an unknown namespace mode")
}

func checkSandboxNetwork(w *runtimeWorld) error {
	if w.options().Simulated {
		return Skip("containers are simulated")
	}
	s, err := w.sandbox()
	if err != nil {
		return err
	}
	if _, err := os.Stat(s.GetNetworkNamespace()); err != nil {
		return fmt.Errorf("network_namespace: %w", err)
	}
	if _, err := w.client.StopSandbox(w, &runtime.StopSandboxRequest{SandboxId: s.GetId()}); err != nil {
		return err
	}
	if _, err := os.Stat(s.GetNetworkNamespace()); err == nil {
		return fmt.Errorf("%s is still there after StopSandbox", s.GetNetworkNamespace())
	}
	return nil
}

func checkSandboxStop(w *runtimeWorld) error {
	running, err := w.run("sleep")
	if err != nil {
		return err
	}
	created, err := w.createIn(w.containerRequest(running.GetSandboxId(), "sleep"))
	if err != nil {
		return err
	}
	for range 2 {
		if _, err := w.client.StopSandbox(w, &runtime.StopSandboxRequest{SandboxId: running.GetSandboxId()}); err != nil {
			return err
		}
	}
	if c, err := w.get(running.GetId()); err != nil || c.GetState() != pluginv1.Container_STATE_EXITED || c.GetExitCode() == 0 {
		return fmt.Errorf("a container in a stopped sandbox: %v, %v", c, err)
	}
	list, err := w.listSandbox(running.GetSandboxId())
	if err != nil || len(list) != 1 || list[0].GetState() != pluginv1.Sandbox_STATE_STOPPED {
		return fmt.Errorf("the stopped sandbox is listed as %v, %v", list, err)
	}
	_, err = w.client.CreateContainer(w, w.containerRequest(running.GetSandboxId()))
	if err := mustBe(err, errs.ClassFailedPrecondition, "CreateContainer in a stopped sandbox"); err != nil {
		return err
	}
	_, err = w.client.StartContainer(w, &runtime.StartContainerRequest{ContainerId: created.GetId()})
	if err := mustBe(err, errs.ClassFailedPrecondition, "StartContainer in a stopped sandbox"); err != nil {
		return err
	}
	_, err = w.client.StopSandbox(w, &runtime.StopSandboxRequest{SandboxId: "cf-unknown"})
	return err
}

func checkSandboxRemove(w *runtimeWorld) error {
	running, err := w.run("sleep")
	if err != nil {
		return err
	}
	if _, err := w.createIn(w.containerRequest(running.GetSandboxId(), "sleep")); err != nil {
		return err
	}
	for range 2 {
		if _, err := w.client.RemoveSandbox(w, &runtime.RemoveSandboxRequest{SandboxId: running.GetSandboxId()}); err != nil {
			return err
		}
	}
	containers, err := w.client.ListContainers(w, &runtime.ListContainersRequest{SandboxId: running.GetSandboxId()})
	if err != nil || len(containers.GetContainers()) != 0 {
		return fmt.Errorf("containers that are left: %v, %v", containers.GetContainers(), err)
	}
	list, err := w.listSandbox(running.GetSandboxId())
	if err != nil || len(list) != 0 {
		return fmt.Errorf("the removed sandbox is listed: %v, %v", list, err)
	}
	return nil
}

func checkSandboxRestart(w *runtimeWorld) error {
	if w.options().Simulated {
		return Skip("a simulation need not outlive its process")
	}
	s, err := w.sandbox()
	if err != nil {
		return err
	}
	if err := w.target.Crash(w); err != nil {
		return err
	}
	if err := w.open(); err != nil {
		return err
	}
	list, err := w.listSandbox(s.GetId())
	if err != nil || len(list) != 1 || !proto.Equal(list[0], s) {
		return fmt.Errorf("it was %v and is %v, %v", s, list, err)
	}
	return nil
}
