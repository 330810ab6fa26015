package main

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/runtime"
)

// Annotations that make a container end by itself.
const (
	annotationRunFor   = "hollow.pintle.io/run-for"
	annotationExitCode = "hollow.pintle.io/exit-code"
)

// hollow keeps what it was told. What the maps hold is replaced, never changed,
// so that a list can hand it out.
type hollow struct {
	mu         sync.Mutex
	sandboxes  map[string]*runtime.Sandbox
	containers map[string]*container
	// bySandbox has the containers once more: a simulation has thousands.
	bySandbox map[string]map[string]*container
	images    map[string]*runtime.Image
	feed      feed
}

type container struct {
	info    *runtime.Container
	end     *time.Timer
	runFor  time.Duration
	endCode int32
}

func newHollow() *hollow {
	return &hollow{
		sandboxes:  map[string]*runtime.Sandbox{},
		containers: map[string]*container{},
		bySandbox:  map[string]map[string]*container{},
		images:     map[string]*runtime.Image{},
	}
}

var (
	_ runtime.Runtime   = (*hollow)(nil)
	_ plugin.Configurer = (*hollow)(nil)
)

// Configure refuses what it does not know: there is nothing to configure.
func (h *hollow) Configure(_ context.Context, req *plugin.ConfigureRequest) error {
	return plugin.DecodeConfig(req, &struct{}{})
}

func (h *hollow) Info(context.Context, *runtime.InfoRequest) (*runtime.InfoResponse, error) {
	return &runtime.InfoResponse{
		RuntimeName: "hollow", RuntimeVersion: "0.1.0", Cgroups: "none",
		Warnings: []string{"this node is simulated: containers are not run"},
	}, nil
}

func (h *hollow) CreateSandbox(_ context.Context, req *runtime.CreateSandboxRequest) (*runtime.CreateSandboxResponse, error) {
	if err := checkID("sandbox_id", req.GetSandboxId()); err != nil {
		return nil, err
	}
	for field, mode := range map[string]runtime.NamespaceMode{"network": req.GetNetwork(), "ipc": req.GetIpc(), "pid": req.GetPid()} {
		if mode < pluginv1.NamespaceMode_NAMESPACE_MODE_POD || mode > pluginv1.NamespaceMode_NAMESPACE_MODE_NODE {
			return nil, errs.InvalidArgument("%s: %s is not a namespace mode", field, mode)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.sandboxes[req.GetSandboxId()]; s != nil {
		if !proto.Equal(s.GetPod(), req.GetPod()) || s.GetAttempt() != req.GetAttempt() {
			return nil, errs.AlreadyExists("sandbox %s exists and belongs to another pod or attempt", s.GetId())
		}
		return &runtime.CreateSandboxResponse{Sandbox: s}, nil
	}
	s := &runtime.Sandbox{
		Id: req.GetSandboxId(), Pod: req.GetPod(), Attempt: req.GetAttempt(),
		State: pluginv1.Sandbox_STATE_READY, CreatedAt: timestamppb.Now(),
		Labels: req.GetLabels(), Annotations: req.GetAnnotations(), RuntimeHandler: req.GetRuntimeHandler(),
	}
	h.sandboxes[s.GetId()] = s
	return &runtime.CreateSandboxResponse{Sandbox: s}, nil
}

func (h *hollow) StopSandbox(_ context.Context, req *runtime.StopSandboxRequest) (*runtime.StopSandboxResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopSandbox(req.GetSandboxId())
	return &runtime.StopSandboxResponse{}, nil
}

func (h *hollow) stopSandbox(id string) {
	s := h.sandboxes[id]
	if s == nil {
		return
	}
	for _, c := range h.bySandbox[id] {
		h.finish(c, killedCode, int32(killSignal))
	}
	stopped := proto.CloneOf(s)
	stopped.State = pluginv1.Sandbox_STATE_STOPPED
	h.sandboxes[id] = stopped
}

func (h *hollow) RemoveSandbox(_ context.Context, req *runtime.RemoveSandboxRequest) (*runtime.RemoveSandboxResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopSandbox(req.GetSandboxId())
	for id := range h.bySandbox[req.GetSandboxId()] {
		h.remove(id)
	}
	delete(h.sandboxes, req.GetSandboxId())
	return &runtime.RemoveSandboxResponse{}, nil
}

func (h *hollow) ListSandboxes(_ context.Context, req *runtime.ListSandboxesRequest) (*runtime.ListSandboxesResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	resp := &runtime.ListSandboxesResponse{}
	if id := req.GetSandboxId(); id != "" {
		if s := h.sandboxes[id]; s != nil {
			resp.Sandboxes = append(resp.Sandboxes, s)
		}
		return resp, nil
	}
	for _, s := range h.sandboxes {
		resp.Sandboxes = append(resp.Sandboxes, s)
	}
	return resp, nil
}
