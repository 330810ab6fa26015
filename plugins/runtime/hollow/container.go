package main

import (
	"context"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
)

const (
	killSignal = syscall.SIGKILL
	killedCode = 128 + int32(killSignal)

	maxID = 72
)

var idPattern = regexp.MustCompile(`^[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*$`)

func checkID(field, id string) error {
	if len(id) > maxID || !idPattern.MatchString(id) {
		return errs.InvalidArgument("%s: %q is not an ID: letters and digits, with single dots, dashes or underscores between them, at most %d characters", field, id, maxID)
	}
	return nil
}

func (h *hollow) CreateContainer(_ context.Context, req *runtime.CreateContainerRequest) (*runtime.CreateContainerResponse, error) {
	if err := checkID("container_id", req.GetContainerId()); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.containers[req.GetContainerId()]; c != nil {
		if c.info.GetSandboxId() != req.GetSandboxId() || c.info.GetName() != req.GetName() || c.info.GetAttempt() != req.GetAttempt() {
			return nil, errs.AlreadyExists("container %s exists with another sandbox, name or attempt", c.info.GetId())
		}
		return &runtime.CreateContainerResponse{Container: c.info}, nil
	}
	s := h.sandboxes[req.GetSandboxId()]
	if s == nil {
		return nil, errs.NotFound("create container %s: there is no sandbox %s", req.GetContainerId(), req.GetSandboxId())
	}
	if s.GetState() != pluginv1.Sandbox_STATE_READY {
		return nil, errs.FailedPrecondition("create container %s: sandbox %s is stopped", req.GetContainerId(), s.GetId())
	}
	image := h.find(req.GetImage())
	if image == nil {
		return nil, errs.NotFound("image %s is not on this node", req.GetImage()).WithReason("ImageNotFound")
	}
	c := &container{info: &runtime.Container{
		Id: req.GetContainerId(), SandboxId: s.GetId(), Name: req.GetName(), Attempt: req.GetAttempt(),
		State: pluginv1.Container_STATE_CREATED, CreatedAt: timestamppb.Now(),
		Image: req.GetImage(), ImageId: image.GetId(), LogPath: req.GetLogPath(),
		Labels: req.GetLabels(), Annotations: req.GetAnnotations(),
	}}
	if err := c.script(s.GetAnnotations(), req.GetAnnotations()); err != nil {
		return nil, err
	}
	h.containers[c.info.GetId()] = c
	if h.bySandbox[s.GetId()] == nil {
		h.bySandbox[s.GetId()] = map[string]*container{}
	}
	h.bySandbox[s.GetId()][c.info.GetId()] = c
	h.emit(pluginv1.EventsResponse_TYPE_CREATED, c.info)
	return &runtime.CreateContainerResponse{Container: c.info}, nil
}

// script reads the annotations that make a container end by itself; the
// container's own win.
func (c *container) script(annotations ...map[string]string) error {
	for _, a := range annotations {
		if text, ok := a[annotationRunFor]; ok {
			d, err := time.ParseDuration(text)
			if err != nil || d <= 0 {
				return errs.InvalidArgument("annotation %s: %q is not a duration like 10s", annotationRunFor, text)
			}
			c.runFor = d
		}
		if text, ok := a[annotationExitCode]; ok {
			code, err := strconv.ParseUint(text, 10, 8)
			if err != nil {
				return errs.InvalidArgument("annotation %s: %q is not a number from 0 to 255", annotationExitCode, text)
			}
			c.endCode = int32(code)
		}
	}
	return nil
}

func (h *hollow) StartContainer(_ context.Context, req *runtime.StartContainerRequest) (*runtime.StartContainerResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.containers[req.GetContainerId()]
	if c == nil {
		return nil, errs.NotFound("start container: there is no container %s", req.GetContainerId())
	}
	switch c.info.GetState() {
	case pluginv1.Container_STATE_RUNNING:
		return &runtime.StartContainerResponse{}, nil
	case pluginv1.Container_STATE_CREATED:
	default:
		return nil, errs.FailedPrecondition("start container %s: it has ended; a container is started once", c.info.GetId())
	}
	if s := h.sandboxes[c.info.GetSandboxId()]; s.GetState() != pluginv1.Sandbox_STATE_READY {
		return nil, errs.FailedPrecondition("start container %s: its sandbox is stopped", c.info.GetId())
	}
	h.replace(c, func(info *runtime.Container) {
		info.State, info.StartedAt = pluginv1.Container_STATE_RUNNING, timestamppb.Now()
	})
	h.emit(pluginv1.EventsResponse_TYPE_STARTED, c.info)
	if c.runFor > 0 {
		c.end = time.AfterFunc(c.runFor, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.finish(c, c.endCode, 0)
		})
	}
	return &runtime.StartContainerResponse{}, nil
}

func (h *hollow) replace(c *container, change func(*runtime.Container)) {
	info := proto.CloneOf(c.info)
	change(info)
	c.info = info
}

// finish ends a container that runs.
func (h *hollow) finish(c *container, code, signal int32) {
	if c.info.GetState() != pluginv1.Container_STATE_RUNNING {
		return
	}
	if c.end != nil {
		c.end.Stop()
	}
	h.replace(c, func(info *runtime.Container) {
		info.State, info.FinishedAt = pluginv1.Container_STATE_EXITED, timestamppb.Now()
		info.ExitCode, info.Signal, info.Reason = code, signal, runtime.ReasonCompleted
		if code != 0 {
			info.Reason = runtime.ReasonError
		}
	})
	h.emit(pluginv1.EventsResponse_TYPE_EXITED, c.info)
}

// StopContainer ends it at once: a hollow container has nothing to tidy up. As
// with a program that heeds its signal, the exit code is 0 where there is grace.
func (h *hollow) StopContainer(_ context.Context, req *runtime.StopContainerRequest) (*runtime.StopContainerResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.containers[req.GetContainerId()]; c != nil {
		if req.GetGracePeriod().AsDuration() > 0 {
			h.finish(c, 0, 0)
		} else {
			h.finish(c, killedCode, int32(killSignal))
		}
	}
	return &runtime.StopContainerResponse{}, nil
}

func (h *hollow) RemoveContainer(_ context.Context, req *runtime.RemoveContainerRequest) (*runtime.RemoveContainerResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remove(req.GetContainerId())
	return &runtime.RemoveContainerResponse{}, nil
}

func (h *hollow) remove(id string) {
	c := h.containers[id]
	if c == nil {
		return
	}
	h.finish(c, killedCode, int32(killSignal))
	delete(h.containers, id)
	siblings := h.bySandbox[c.info.GetSandboxId()]
	if delete(siblings, id); len(siblings) == 0 {
		delete(h.bySandbox, c.info.GetSandboxId())
	}
	h.emit(pluginv1.EventsResponse_TYPE_REMOVED, c.info)
}

func (h *hollow) ListContainers(_ context.Context, req *runtime.ListContainersRequest) (*runtime.ListContainersResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	resp := &runtime.ListContainersResponse{}
	from := h.containers
	if id := req.GetSandboxId(); id != "" {
		from = h.bySandbox[id]
	}
	if id := req.GetContainerId(); id != "" {
		if c := from[id]; c != nil {
			resp.Containers = append(resp.Containers, c.info)
		}
		return resp, nil
	}
	for _, c := range from {
		resp.Containers = append(resp.Containers, c.info)
	}
	return resp, nil
}

// ReopenLog has nothing to do: hollow containers write nothing.
func (h *hollow) ReopenLog(_ context.Context, req *runtime.ReopenLogRequest) (*runtime.ReopenLogResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.containers[req.GetContainerId()] == nil {
		return nil, errs.NotFound("reopen log: there is no container %s", req.GetContainerId())
	}
	return &runtime.ReopenLogResponse{}, nil
}
