package nodetest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
)

// Runtime in memory.
type Runtime struct {
	mu         sync.Mutex
	images     map[string]*pluginv1.Image
	sandboxes  map[string]*pluginv1.Sandbox
	containers map[string]*pluginv1.Container
	requests   map[string]*pluginv1.CreateContainerRequest
	listeners  map[chan *pluginv1.EventsResponse]struct{}
	calls      []string

	// Fail, where set, may return an error for a call by its name.
	Fail func(call, id string) error
	// OnStop decides how a container ends that is told to; by default at once
	// with code 143. It is called without a lock.
	OnStop func(ctx context.Context, c *pluginv1.Container, grace time.Duration)
	// OnExec answers commands; by default they succeed.
	OnExec func(ctx context.Context, id string, command []string, s runtime.Streams) (*pluginv1.ExecExit, error)
	// OnPull answers pulls; by default there is every image.
	OnPull func(ctx context.Context, req *pluginv1.PullImageRequest) (*pluginv1.Image, error)
}

var (
	_ runtime.Runtime = (*Runtime)(nil)
	_ runtime.Execer  = (*Runtime)(nil)
)

// NewRuntime makes an empty runtime.
func NewRuntime() *Runtime {
	return &Runtime{
		images: map[string]*pluginv1.Image{}, sandboxes: map[string]*pluginv1.Sandbox{},
		containers: map[string]*pluginv1.Container{}, requests: map[string]*pluginv1.CreateContainerRequest{},
		listeners: map[chan *pluginv1.EventsResponse]struct{}{},
	}
}

func (r *Runtime) enter(ctx context.Context, call, id string) error {
	r.mu.Lock()
	r.calls = append(r.calls, call)
	fail := r.Fail
	r.mu.Unlock()
	if fail != nil {
		if err := fail(call, id); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Calls made, by name.
func (r *Runtime) Calls(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, c := range r.calls {
		if c == name {
			n++
		}
	}
	return n
}

// SetFail replaces Fail while the runtime is in use.
func (r *Runtime) SetFail(f func(call, id string) error) {
	r.mu.Lock()
	r.Fail = f
	r.mu.Unlock()
}

// AddImage puts an image on the node.
func (r *Runtime) AddImage(image *pluginv1.Image) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.images[image.Id] = image
}

// Sandboxes and Containers are what there is, copied.
func (r *Runtime) Sandboxes() []*pluginv1.Sandbox {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*pluginv1.Sandbox
	for _, s := range r.sandboxes {
		out = append(out, proto.Clone(s).(*pluginv1.Sandbox))
	}
	return out
}

// Containers that there are.
func (r *Runtime) Containers() []*pluginv1.Container {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*pluginv1.Container
	for _, c := range r.containers {
		out = append(out, proto.Clone(c).(*pluginv1.Container))
	}
	slices.SortFunc(out, func(a, b *pluginv1.Container) int { return int(b.Attempt) - int(a.Attempt) })
	return out
}

// Newest run of a container.
func (r *Runtime) Newest(name string) *pluginv1.Container {
	for _, c := range r.Containers() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Request that made a container.
func (r *Runtime) Request(id string) *pluginv1.CreateContainerRequest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests[id]
}

// Exit ends the newest run of a container.
func (r *Runtime) Exit(name string, code int32) {
	c := r.Newest(name)
	if c != nil {
		r.exit(c.Id, code)
	}
}

func (r *Runtime) exit(id string, code int32) {
	r.mu.Lock()
	c := r.containers[id]
	if c == nil || c.State == pluginv1.Container_STATE_EXITED {
		r.mu.Unlock()
		return
	}
	c = proto.Clone(c).(*pluginv1.Container)
	c.State, c.ExitCode, c.FinishedAt = pluginv1.Container_STATE_EXITED, code, timestamppb.Now()
	c.Reason = runtime.ReasonCompleted
	if code != 0 {
		c.Reason = runtime.ReasonError
	}
	r.containers[id] = c
	r.mu.Unlock()
	r.send(pluginv1.EventsResponse_TYPE_EXITED, c)
}

// KillSandbox stops a sandbox behind the agent's back, as a restart of the
// machine does.
func (r *Runtime) KillSandbox(id string) {
	_, _ = r.StopSandbox(context.Background(), &pluginv1.StopSandboxRequest{SandboxId: id})
}

func (r *Runtime) send(t pluginv1.EventsResponse_Type, c *pluginv1.Container) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for l := range r.listeners {
		select {
		case l <- &pluginv1.EventsResponse{Type: t, ContainerId: c.Id, SandboxId: c.SandboxId, At: timestamppb.Now()}:
		default:
		}
	}
}

// Events streams until ctx ends.
func (r *Runtime) Events(ctx context.Context, _ *pluginv1.EventsRequest, send func(*pluginv1.EventsResponse) error) error {
	if err := r.enter(ctx, "Events", ""); err != nil {
		return err
	}
	l := make(chan *pluginv1.EventsResponse, 1024)
	r.mu.Lock()
	r.listeners[l] = struct{}{}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.listeners, l)
		r.mu.Unlock()
	}()
	if err := send(&pluginv1.EventsResponse{Type: pluginv1.EventsResponse_TYPE_READY}); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-l:
			if err := send(e); err != nil {
				return err
			}
		}
	}
}

// Info answers.
func (r *Runtime) Info(ctx context.Context, _ *pluginv1.RuntimeInfoRequest) (*pluginv1.RuntimeInfoResponse, error) {
	return &pluginv1.RuntimeInfoResponse{RuntimeName: "fake", RuntimeVersion: "1", ImageStorePath: "/"}, r.enter(ctx, "Info", "")
}

// PullImage makes the image.
func (r *Runtime) PullImage(ctx context.Context, req *pluginv1.PullImageRequest, progress func(*pluginv1.PullImageResponse)) (*pluginv1.Image, error) {
	if err := r.enter(ctx, "PullImage", req.Image); err != nil {
		return nil, err
	}
	progress(&pluginv1.PullImageResponse{DoneBytes: 1, TotalBytes: 1})
	if r.OnPull != nil {
		return r.OnPull(ctx, req)
	}
	image := &pluginv1.Image{Id: "sha256:" + req.Image, Tags: []string{req.Image}, SizeBytes: 1}
	r.AddImage(image)
	return image, nil
}

// ImportImage makes an image of the default name.
func (r *Runtime) ImportImage(ctx context.Context, req *pluginv1.ImportImageRequest, archive io.Reader) (*pluginv1.ImportImageResponse, error) {
	n, err := io.Copy(io.Discard, archive)
	if err != nil {
		return nil, err
	}
	image := &pluginv1.Image{Id: "sha256:" + req.DefaultName, Tags: []string{req.DefaultName}, SizeBytes: n}
	r.AddImage(image)
	return &pluginv1.ImportImageResponse{Images: []*pluginv1.Image{image}}, r.enter(ctx, "ImportImage", "")
}

// ListImages lists.
func (r *Runtime) ListImages(ctx context.Context, _ *pluginv1.ListImagesRequest) (*pluginv1.ListImagesResponse, error) {
	if err := r.enter(ctx, "ListImages", ""); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return &pluginv1.ListImagesResponse{Images: slices.Collect(maps.Values(r.images))}, nil
}

// GetImage finds by ID or tag.
func (r *Runtime) GetImage(ctx context.Context, req *pluginv1.GetImageRequest) (*pluginv1.GetImageResponse, error) {
	if err := r.enter(ctx, "GetImage", req.Image); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, image := range r.images {
		if image.Id == req.Image || slices.Contains(image.Tags, req.Image) {
			return &pluginv1.GetImageResponse{Image: image}, nil
		}
	}
	return nil, errs.NotFound("image %s is not on this node", req.Image)
}

// RemoveImage refuses what is used.
func (r *Runtime) RemoveImage(ctx context.Context, req *pluginv1.RemoveImageRequest) (*pluginv1.RemoveImageResponse, error) {
	if err := r.enter(ctx, "RemoveImage", req.Image); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.containers {
		if c.ImageId == req.Image {
			return nil, errs.FailedPrecondition("image %s is used by container %s", req.Image, c.Id)
		}
	}
	delete(r.images, req.Image)
	return &pluginv1.RemoveImageResponse{}, nil
}

// CreateSandbox makes one.
func (r *Runtime) CreateSandbox(ctx context.Context, req *pluginv1.CreateSandboxRequest) (*pluginv1.CreateSandboxResponse, error) {
	if err := r.enter(ctx, "CreateSandbox", req.SandboxId); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &pluginv1.Sandbox{
		Id: req.SandboxId, Pod: req.Pod, Attempt: req.Attempt, State: pluginv1.Sandbox_STATE_READY,
		CreatedAt: timestamppb.Now(), Labels: req.Labels, Annotations: req.Annotations,
	}
	if req.Network == pluginv1.NamespaceMode_NAMESPACE_MODE_POD {
		s.NetworkNamespace = "/run/fake/" + req.SandboxId
	}
	r.sandboxes[s.Id] = s
	return &pluginv1.CreateSandboxResponse{Sandbox: s}, nil
}

// StopSandbox kills what is in it.
func (r *Runtime) StopSandbox(ctx context.Context, req *pluginv1.StopSandboxRequest) (*pluginv1.StopSandboxResponse, error) {
	if err := r.enter(ctx, "StopSandbox", req.SandboxId); err != nil {
		return nil, err
	}
	r.mu.Lock()
	var ids []string
	if s := r.sandboxes[req.SandboxId]; s != nil {
		s = proto.Clone(s).(*pluginv1.Sandbox)
		s.State, s.NetworkNamespace = pluginv1.Sandbox_STATE_STOPPED, ""
		r.sandboxes[s.Id] = s
		for id, c := range r.containers {
			if c.SandboxId == s.Id && c.State == pluginv1.Container_STATE_RUNNING {
				ids = append(ids, id)
			}
		}
	}
	r.mu.Unlock()
	for _, id := range ids {
		r.exit(id, 137)
	}
	return &pluginv1.StopSandboxResponse{}, nil
}

// RemoveSandbox forgets it and its containers.
func (r *Runtime) RemoveSandbox(ctx context.Context, req *pluginv1.RemoveSandboxRequest) (*pluginv1.RemoveSandboxResponse, error) {
	if err := r.enter(ctx, "RemoveSandbox", req.SandboxId); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sandboxes, req.SandboxId)
	for id, c := range r.containers {
		if c.SandboxId == req.SandboxId {
			delete(r.containers, id)
		}
	}
	return &pluginv1.RemoveSandboxResponse{}, nil
}

// ListSandboxes lists.
func (r *Runtime) ListSandboxes(ctx context.Context, _ *pluginv1.ListSandboxesRequest) (*pluginv1.ListSandboxesResponse, error) {
	if err := r.enter(ctx, "ListSandboxes", ""); err != nil {
		return nil, err
	}
	return &pluginv1.ListSandboxesResponse{Sandboxes: r.Sandboxes()}, nil
}

// CreateContainer prepares one.
func (r *Runtime) CreateContainer(ctx context.Context, req *pluginv1.CreateContainerRequest) (*pluginv1.CreateContainerResponse, error) {
	if err := r.enter(ctx, "CreateContainer", req.Name); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sandboxes[req.SandboxId]
	if s == nil || s.State != pluginv1.Sandbox_STATE_READY {
		return nil, errs.FailedPrecondition("sandbox %s is not ready", req.SandboxId)
	}
	c := &pluginv1.Container{
		Id: req.ContainerId, SandboxId: req.SandboxId, Name: req.Name, Attempt: req.Attempt,
		State: pluginv1.Container_STATE_CREATED, CreatedAt: timestamppb.Now(), Image: req.Image, ImageId: req.Image,
		LogPath: req.LogPath, Labels: req.Labels, Annotations: req.Annotations,
	}
	r.containers[c.Id], r.requests[c.Id] = c, req
	return &pluginv1.CreateContainerResponse{Container: proto.Clone(c).(*pluginv1.Container)}, nil
}

// StartContainer runs it.
func (r *Runtime) StartContainer(ctx context.Context, req *pluginv1.StartContainerRequest) (*pluginv1.StartContainerResponse, error) {
	r.mu.Lock()
	c := r.containers[req.ContainerId]
	r.mu.Unlock()
	if c == nil {
		return nil, errs.NotFound("no container %s", req.ContainerId)
	}
	if err := r.enter(ctx, "StartContainer", c.Name); err != nil {
		r.mu.Lock()
		c = proto.Clone(c).(*pluginv1.Container)
		c.State, c.ExitCode, c.Reason, c.Message = pluginv1.Container_STATE_EXITED, 128, runtime.ReasonStartError, err.Error()
		c.FinishedAt = timestamppb.Now()
		r.containers[c.Id] = c
		r.mu.Unlock()
		return nil, err
	}
	r.mu.Lock()
	c = proto.Clone(c).(*pluginv1.Container)
	c.State, c.StartedAt, c.Pid = pluginv1.Container_STATE_RUNNING, timestamppb.Now(), 1
	r.containers[c.Id] = c
	r.mu.Unlock()
	r.send(pluginv1.EventsResponse_TYPE_STARTED, c)
	return &pluginv1.StartContainerResponse{}, nil
}

// StopContainer ends it.
func (r *Runtime) StopContainer(ctx context.Context, req *pluginv1.StopContainerRequest) (*pluginv1.StopContainerResponse, error) {
	if err := r.enter(ctx, "StopContainer", req.ContainerId); err != nil {
		return nil, err
	}
	r.mu.Lock()
	c, onStop := r.containers[req.ContainerId], r.OnStop
	r.mu.Unlock()
	if c == nil || c.State != pluginv1.Container_STATE_RUNNING {
		return &pluginv1.StopContainerResponse{}, nil
	}
	if onStop != nil {
		onStop(ctx, c, req.GracePeriod.AsDuration())
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	r.exit(c.Id, 143)
	return &pluginv1.StopContainerResponse{}, nil
}

// RemoveContainer forgets it.
func (r *Runtime) RemoveContainer(ctx context.Context, req *pluginv1.RemoveContainerRequest) (*pluginv1.RemoveContainerResponse, error) {
	if err := r.enter(ctx, "RemoveContainer", req.ContainerId); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.containers, req.ContainerId)
	return &pluginv1.RemoveContainerResponse{}, nil
}

// ListContainers lists.
func (r *Runtime) ListContainers(ctx context.Context, req *pluginv1.ListContainersRequest) (*pluginv1.ListContainersResponse, error) {
	if err := r.enter(ctx, "ListContainers", req.ContainerId); err != nil {
		return nil, err
	}
	res := &pluginv1.ListContainersResponse{}
	for _, c := range r.Containers() {
		if (req.ContainerId == "" || c.Id == req.ContainerId) && (req.SandboxId == "" || c.SandboxId == req.SandboxId) {
			res.Containers = append(res.Containers, c)
		}
	}
	return res, nil
}

// ReopenLog does nothing.
func (r *Runtime) ReopenLog(ctx context.Context, req *pluginv1.ReopenLogRequest) (*pluginv1.ReopenLogResponse, error) {
	return &pluginv1.ReopenLogResponse{}, r.enter(ctx, "ReopenLog", req.ContainerId)
}

// Exec answers as OnExec says.
func (r *Runtime) Exec(ctx context.Context, req *pluginv1.ExecStart, s runtime.Streams) (*pluginv1.ExecExit, error) {
	if err := r.enter(ctx, "Exec", req.ContainerId); err != nil {
		return nil, err
	}
	if r.OnExec != nil {
		return r.OnExec(ctx, req.ContainerId, req.Command, s)
	}
	if s.Stdout != nil {
		fmt.Fprintf(s.Stdout, "%q", req.Command)
	}
	return &pluginv1.ExecExit{}, nil
}
