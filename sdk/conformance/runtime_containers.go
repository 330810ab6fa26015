package conformance

import (
	"errors"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
)

func runtimeContainerChecks() []Check {
	return []Check{
		runtimeCheck("container.create", "A new container is CREATED and is listed as it was asked for.", checkContainerCreate),
		runtimeCheck("container.create.twice", "A repeated CreateContainer returns what is there; with another name it is AlreadyExists.", checkContainerTwice),
		runtimeCheck("container.create.no-sandbox", "CreateContainer in a sandbox that does not exist is NotFound.", func(w *runtimeWorld) error {
			if err := w.ensureImage(); err != nil {
				return err
			}
			_, err := w.client.CreateContainer(w, w.containerRequest("cf-unknown"))
			return mustBe(err, errs.ClassNotFound, "CreateContainer")
		}),
		runtimeCheck("container.start", "A started container is RUNNING; starting it again succeeds; starting what does not exist is NotFound.", needsRunning(checkContainerStart)),
		runtimeCheck("container.stop", "StopContainer returns when the container has ended; it may be repeated; a container that has ended is not started again.", needsRunning(checkContainerStop)),
		runtimeCheck("container.remove", "RemoveContainer kills a container that runs; it may be repeated.", needsRunning(checkContainerRemove)),
		runtimeCheck("container.unknown", "Stop and Remove of what does not exist succeed, and a list of it is empty.", checkContainerUnknown),
		runtimeCheck("container.concurrent", "Calls come concurrently, also the same one.", needsRunning(checkContainerConcurrent)),
		runtimeCheck("events", "The first event is READY; each change of a container is told after ListContainers shows it, in order, to every caller.", needsRunning(checkEvents)),
		runtimeCheck("capabilities", "A call that the plugin does not claim to offer is Unimplemented.", checkCapabilities),
	}
}

func checkContainerCreate(w *runtimeWorld) error {
	s, err := w.sandbox()
	if err != nil {
		return err
	}
	req := w.containerRequest(s.GetId(), "sleep")
	created, err := w.createIn(req)
	if err != nil {
		return err
	}
	c, err := w.get(req.GetContainerId())
	if err != nil {
		return err
	}
	if !proto.Equal(created, c) {
		return fmt.Errorf("created %v, listed %v", created, c)
	}
	if c.GetState() != pluginv1.Container_STATE_CREATED || c.GetCreatedAt() == nil || c.GetStartedAt() != nil ||
		c.GetSandboxId() != s.GetId() || c.GetName() != "main" || c.GetAttempt() != 2 || c.GetImage() != runtimeImage || c.GetImageId() == "" ||
		c.GetLogPath() != req.GetLogPath() || c.GetLabels()["label"] == "" || c.GetAnnotations()["annotation"] == "" {
		return fmt.Errorf("it is not what was asked for: %v", c)
	}
	return nil
}

func checkContainerTwice(w *runtimeWorld) error {
	s, err := w.sandbox()
	if err != nil {
		return err
	}
	req := w.containerRequest(s.GetId(), "sleep")
	first, err := w.createIn(req)
	if err != nil {
		return err
	}
	second, err := w.createIn(req)
	if err != nil {
		return fmt.Errorf("the second time: %w", err)
	}
	if !proto.Equal(first, second) {
		return fmt.Errorf("the first call returned %v, the second %v", first, second)
	}
	req.Name = "other"
	_, err = w.client.CreateContainer(w, req)
	return mustBe(err, errs.ClassAlreadyExists, "CreateContainer with a taken ID and another name")
}

func checkContainerStart(w *runtimeWorld) error {
	c, err := w.run("sleep")
	if err != nil {
		return err
	}
	if c.GetState() != pluginv1.Container_STATE_RUNNING || c.GetStartedAt() == nil || c.GetStartedAt().AsTime().Before(c.GetCreatedAt().AsTime()) {
		return fmt.Errorf("it is not running: %v", c)
	}
	if err := w.start(c); err != nil {
		return fmt.Errorf("the second time: %w", err)
	}
	again, err := w.get(c.GetId())
	if err != nil || !proto.Equal(c, again) {
		return fmt.Errorf("a second start changed it from %v to %v, %v", c, again, err)
	}
	_, err = w.client.StartContainer(w, &runtime.StartContainerRequest{ContainerId: "cf-unknown"})
	return mustBe(err, errs.ClassNotFound, "StartContainer of what does not exist")
}

func checkContainerStop(w *runtimeWorld) error {
	c, err := w.run("sleep")
	if err != nil {
		return err
	}
	for range 2 {
		if _, err := w.client.StopContainer(w, &runtime.StopContainerRequest{ContainerId: c.GetId()}); err != nil {
			return err
		}
		if c, err = w.get(c.GetId()); err != nil {
			return err
		}
		if c.GetState() != pluginv1.Container_STATE_EXITED || c.GetFinishedAt() == nil || c.GetExitCode() != 137 || c.GetReason() != runtime.ReasonError {
			return fmt.Errorf("after StopContainer without grace: %v", c)
		}
	}
	_, err = w.client.StartContainer(w, &runtime.StartContainerRequest{ContainerId: c.GetId()})
	return mustBe(err, errs.ClassFailedPrecondition, "StartContainer of a container that has ended")
}

func checkContainerRemove(w *runtimeWorld) error {
	c, err := w.run("sleep")
	if err != nil {
		return err
	}
	for range 2 {
		if _, err := w.client.RemoveContainer(w, &runtime.RemoveContainerRequest{ContainerId: c.GetId()}); err != nil {
			return err
		}
	}
	list, err := w.client.ListContainers(w, &runtime.ListContainersRequest{ContainerId: c.GetId()})
	if err != nil || len(list.GetContainers()) != 0 {
		return fmt.Errorf("a removed container is listed: %v, %v", list.GetContainers(), err)
	}
	return nil
}

func checkContainerUnknown(w *runtimeWorld) error {
	const unknown = "cf-unknown"
	if _, err := w.client.StopContainer(w, &runtime.StopContainerRequest{ContainerId: unknown, GracePeriod: durationpb.New(1)}); err != nil {
		return fmt.Errorf("StopContainer: %w", err)
	}
	if _, err := w.client.RemoveContainer(w, &runtime.RemoveContainerRequest{ContainerId: unknown}); err != nil {
		return fmt.Errorf("RemoveContainer: %w", err)
	}
	if _, err := w.client.RemoveSandbox(w, &runtime.RemoveSandboxRequest{SandboxId: unknown}); err != nil {
		return fmt.Errorf("RemoveSandbox: %w", err)
	}
	list, err := w.client.ListContainers(w, &runtime.ListContainersRequest{ContainerId: unknown})
	if err != nil || len(list.GetContainers()) != 0 {
		return fmt.Errorf("ListContainers: %v, %v", list.GetContainers(), err)
	}
	sandboxes, err := w.listSandbox(unknown)
	if err != nil || len(sandboxes) != 0 {
		return fmt.Errorf("ListSandboxes: %v, %v", sandboxes, err)
	}
	_, err = w.client.ReopenLog(w, &runtime.ReopenLogRequest{ContainerId: unknown})
	return mustBe(err, errs.ClassNotFound, "ReopenLog of what does not exist")
}

func checkContainerConcurrent(w *runtimeWorld) error {
	if err := w.ensureImage(); err != nil {
		return err
	}
	var group callGroup
	for range 4 {
		sandbox := w.sandboxRequest()
		w.made = append(w.made, sandbox.GetSandboxId())
		container := w.containerRequest(sandbox.GetSandboxId(), "sleep")
		// Each call by three callers at once.
		group.Go(func() error {
			return thrice(
				func() error { _, err := w.client.CreateSandbox(w, sandbox); return err },
				func() error { _, err := w.client.CreateContainer(w, container); return err },
				func() error {
					_, err := w.client.StartContainer(w, &runtime.StartContainerRequest{ContainerId: container.GetContainerId()})
					return err
				},
				func() error {
					_, err := w.client.StopContainer(w, &runtime.StopContainerRequest{ContainerId: container.GetContainerId()})
					return err
				},
				func() error {
					_, err := w.client.RemoveContainer(w, &runtime.RemoveContainerRequest{ContainerId: container.GetContainerId()})
					return err
				},
				func() error {
					_, err := w.client.RemoveSandbox(w, &runtime.RemoveSandboxRequest{SandboxId: sandbox.GetSandboxId()})
					return err
				},
			)
		})
	}
	return group.Wait()
}

func thrice(steps ...func() error) error {
	for i, step := range steps {
		var group callGroup
		for range 3 {
			group.Go(step)
		}
		if err := group.Wait(); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

// errEnough ends a stream of events.
var errEnough = errors.New("enough")

func checkEvents(w *runtimeWorld) error {
	want := []pluginv1.EventsResponse_Type{
		pluginv1.EventsResponse_TYPE_READY, pluginv1.EventsResponse_TYPE_CREATED, pluginv1.EventsResponse_TYPE_STARTED,
		pluginv1.EventsResponse_TYPE_EXITED, pluginv1.EventsResponse_TYPE_REMOVED,
	}
	s, err := w.sandbox()
	if err != nil {
		return err
	}
	req := w.containerRequest(s.GetId(), "sleep")
	var (
		group callGroup
		ready sync.WaitGroup
	)
	for range 2 {
		ready.Add(1)
		group.Go(func() error {
			var got []pluginv1.EventsResponse_Type
			settled := sync.OnceFunc(ready.Done)
			defer settled()
			err := w.client.Events(w, &runtime.EventsRequest{}, func(event *runtime.Event) error {
				if event.GetType() != pluginv1.EventsResponse_TYPE_READY && event.GetContainerId() != req.GetContainerId() {
					return nil
				}
				got = append(got, event.GetType())
				settled()
				if err := w.checkShown(event); err != nil {
					return err
				}
				if len(got) == len(want) {
					return errEnough
				}
				return nil
			})
			if !errors.Is(err, errEnough) {
				return fmt.Errorf("after %v: %w", got, err)
			}
			for i := range want {
				if got[i] != want[i] {
					return fmt.Errorf("events %v, not %v", got, want)
				}
			}
			return nil
		})
	}
	ready.Wait()
	c, err := w.createIn(req)
	if err != nil {
		return err
	}
	if err := w.start(c); err != nil {
		return err
	}
	if _, err := w.client.StopContainer(w, &runtime.StopContainerRequest{ContainerId: c.GetId()}); err != nil {
		return err
	}
	if _, err := w.client.RemoveContainer(w, &runtime.RemoveContainerRequest{ContainerId: c.GetId()}); err != nil {
		return err
	}
	return group.Wait()
}

// checkShown checks that a list shows at least what an event tells.
func (w *runtimeWorld) checkShown(event *runtime.Event) error {
	least, ok := map[pluginv1.EventsResponse_Type]pluginv1.Container_State{
		pluginv1.EventsResponse_TYPE_CREATED: pluginv1.Container_STATE_CREATED,
		pluginv1.EventsResponse_TYPE_STARTED: pluginv1.Container_STATE_RUNNING,
		pluginv1.EventsResponse_TYPE_EXITED:  pluginv1.Container_STATE_EXITED,
	}[event.GetType()]
	if !ok {
		return nil
	}
	list, err := w.client.ListContainers(w, &runtime.ListContainersRequest{ContainerId: event.GetContainerId()})
	if err != nil {
		return err
	}
	for _, c := range list.GetContainers() {
		if c.GetState() < least {
			return fmt.Errorf("after %s the container is listed as %s", event.GetType(), c.GetState())
		}
	}
	return nil
}

func checkCapabilities(w *runtimeWorld) error {
	_, exec := w.client.Exec(w, &runtime.ExecStart{ContainerId: "cf-unknown", Command: []string{"x"}}, runtime.Streams{})
	_, attach := w.client.Attach(w, &runtime.AttachStart{ContainerId: "cf-unknown"}, runtime.Streams{})
	_, stats := w.client.Stats(w, &runtime.StatsRequest{ContainerId: "cf-unknown"})
	_, update := w.client.UpdateContainer(w, &runtime.UpdateContainerRequest{ContainerId: "cf-unknown"})
	for capability, err := range map[string]error{
		runtime.CapabilityExec: exec, runtime.CapabilityAttach: attach, runtime.CapabilityStats: stats, runtime.CapabilityUpdate: update,
	} {
		offered := !errs.Is(err, errs.ClassUnimplemented)
		if claimed := w.target.Has(capability); claimed != offered {
			return fmt.Errorf("%s: claimed %v, offered %v (%w)", capability, claimed, offered, err)
		}
	}
	return nil
}
