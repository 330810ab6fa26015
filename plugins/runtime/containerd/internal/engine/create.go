package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/containerd/typeurl/v2"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/namespaces"
	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/ocispec"
)

const (
	// gcRoot keeps containerd from collecting a snapshot whose container has no
	// record yet; we remove snapshots ourselves.
	gcRoot = "containerd.io/gc.root"
	// shimGroup makes the containers of a pod share a shim: it is read by
	// containerd-shim-runc-v2.
	shimGroup = "io.containerd.runc.v2.group"
)

// CreateContainer implements runtime.Runtime.
func (e *Engine) CreateContainer(ctx context.Context, req *runtime.CreateContainerRequest) (*runtime.CreateContainerResponse, error) {
	if err := checkID("container_id", req.GetContainerId()); err != nil {
		return nil, err
	}
	unlock, err := e.verbs.lock(ctx, "container "+req.GetContainerId())
	if err != nil {
		return nil, err
	}
	defer unlock()
	if c := e.table.container(req.GetContainerId()); c != nil {
		info := c.snapshot()
		if info.GetSandboxId() != req.GetSandboxId() || info.GetName() != req.GetName() || info.GetAttempt() != req.GetAttempt() {
			return nil, errs.AlreadyExists("container %s exists with another sandbox, name or attempt", req.GetContainerId())
		}
		return &runtime.CreateContainerResponse{Container: info}, nil
	}
	s := e.table.sandbox(req.GetSandboxId())
	if s == nil {
		return nil, errs.NotFound("create container %s: there is no sandbox %s", req.GetContainerId(), req.GetSandboxId())
	}
	if !s.ready() {
		return nil, errs.FailedPrecondition("create container %s: sandbox %s is stopped", req.GetContainerId(), s.id)
	}
	c, err := e.createContainer(ctx, s, req)
	if err != nil {
		return nil, fmt.Errorf("create container %s (%s): %w", req.GetContainerId(), req.GetName(), err)
	}
	e.table.putContainer(c)
	if e.table.sandbox(s.id) == nil {
		// The sandbox was removed meanwhile and did not see this container.
		_ = e.removeContainer(context.WithoutCancel(ctx), c)
		return nil, errs.FailedPrecondition("create container %s: sandbox %s was removed meanwhile", c.id, s.id)
	}
	e.emit(pluginv1.EventsResponse_TYPE_CREATED, c.info)
	return &runtime.CreateContainerResponse{Container: c.info}, nil
}

func (e *Engine) createContainer(ctx context.Context, s *sandbox, req *runtime.CreateContainerRequest) (*container, error) {
	image, err := e.images.resolve(ctx, req.GetImage())
	if err != nil {
		return nil, err
	}
	mounts, err := e.prepareSnapshot(ctx, req.GetContainerId(), image)
	if err != nil {
		return nil, err
	}
	c, err := e.recordContainer(ctx, s, req, image, mounts)
	if err != nil {
		return nil, errors.Join(err, e.removeSnapshot(context.WithoutCancel(ctx), req.GetContainerId()))
	}
	return c, nil
}

// prepareSnapshot makes the writable layer of a container on its image.
func (e *Engine) prepareSnapshot(ctx context.Context, key string, image *imageInfo) ([]mount.Mount, error) {
	prepare := func() ([]mount.Mount, error) {
		return e.snapshots().Prepare(ctx, key, image.chainID, snapshots.WithLabels(map[string]string{gcRoot: time.Now().UTC().Format(time.RFC3339)}))
	}
	mounts, err := prepare()
	switch {
	case errdefs.IsAlreadyExists(err):
		// Left by a call that died in the middle.
		if err := e.removeSnapshot(ctx, key); err != nil {
			return nil, err
		}
		mounts, err = prepare()
	case errdefs.IsNotFound(err):
		// An image that was not unpacked, by whoever imported it.
		if err := e.unpack(ctx, image.image); err != nil {
			return nil, err
		}
		mounts, err = prepare()
	}
	if err != nil {
		return nil, classify(err, "make the file system of image %s", image.info.GetId())
	}
	return mounts, nil
}

func (e *Engine) removeSnapshot(ctx context.Context, key string) error {
	err := e.snapshots().Remove(ctx, key)
	if err != nil && !errdefs.IsNotFound(err) {
		return classify(err, "remove the file system of container %s", key)
	}
	return nil
}

func (e *Engine) recordContainer(ctx context.Context, s *sandbox, req *runtime.CreateContainerRequest, image *imageInfo, mounts []mount.Mount) (*container, error) {
	spec, err := e.spec(ctx, s, req, image, mounts)
	if err != nil {
		return nil, err
	}
	info := &runtime.Container{
		Id: req.GetContainerId(), SandboxId: s.id, Name: req.GetName(), Attempt: req.GetAttempt(),
		State: pluginv1.Container_STATE_CREATED, CreatedAt: timestamppb.Now(),
		Image: req.GetImage(), ImageId: image.info.GetId(), LogPath: req.GetLogPath(),
		Labels: req.GetLabels(), Annotations: req.GetAnnotations(),
	}
	rec := &record{
		SandboxID:   s.id,
		CgroupPath:  spec.Linux.CgroupsPath,
		StopSignal:  stopSignal(req, image),
		SnapshotKey: req.GetContainerId(), CgroupParent: s.create.GetCgroupParent(),
		TTY: req.GetTty(), Stdin: req.GetStdin(), StdinOnce: req.GetStdinOnce(),
	}
	if _, err := parseSignal(rec.StopSignal); err != nil {
		return nil, errs.InvalidArgument("stop_signal: %w", err)
	}
	if rec.Container, err = protojson.Marshal(info); err != nil {
		return nil, err
	}
	if rec.Sandbox, err = protojson.Marshal(s.snapshot()); err != nil {
		return nil, err
	}
	extensions, err := rec.encode()
	if err != nil {
		return nil, err
	}
	specAny, err := typeurl.MarshalAny(spec)
	if err != nil {
		return nil, err
	}
	handler, err := e.handler(s.create.GetRuntimeHandler())
	if err != nil {
		return nil, err
	}
	// What a predecessor with this ID left, one that died in the middle.
	if err := os.Remove(e.files.exitPath(info.GetId())); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	_, err = e.client.ContainerService().Create(ctx, containers.Container{
		ID:         info.GetId(),
		Labels:     map[string]string{labelKind: kindApp, labelSandbox: s.id},
		Image:      image.names[0],
		Runtime:    handler,
		Spec:       specAny,
		Extensions: extensions, SnapshotKey: rec.SnapshotKey, Snapshotter: e.snapshotter,
	})
	if err != nil {
		return nil, classify(err, "record the container in containerd")
	}
	c := newContainer(rec, info)
	c.mounts, c.process = mounts, spec.Process
	return c, nil
}

func (e *Engine) spec(ctx context.Context, s *sandbox, req *runtime.CreateContainerRequest, image *imageInfo, mounts []mount.Mount) (*specs.Spec, error) {
	accounts, err := e.images.accounts(ctx, image, mounts)
	if err != nil {
		return nil, err
	}
	user, err := accounts.Resolve(req.GetSecurity(), image.config.User)
	if err != nil {
		return nil, err
	}
	joined, err := e.joinedNamespaces(s, req)
	if err != nil {
		return nil, err
	}
	input := ocispec.Input{
		Request: req, Image: image.config, User: user,
		Hostname:      s.create.GetHostname(),
		CgroupPath:    s.create.GetCgroupParent() + "/" + req.GetContainerId(),
		Namespaces:    joined,
		Annotations:   map[string]string{shimGroup: s.id},
		OOMScoreFloor: e.oomFloor,
	}
	switch s.create.GetIpc() {
	case pluginv1.NamespaceMode_NAMESPACE_MODE_POD:
		input.ShmPath = e.files.shm(s.id)
	case pluginv1.NamespaceMode_NAMESPACE_MODE_NODE:
		input.ShmPath = ocispec.NodeShm()
	case pluginv1.NamespaceMode_NAMESPACE_MODE_CONTAINER:
		input.Sysctls = map[string]string{}
		for name, value := range s.create.GetSysctls() {
			if ipcSysctl(name) {
				input.Sysctls[name] = value
			}
		}
	}
	return ocispec.Build(input)
}

func (e *Engine) joinedNamespaces(s *sandbox, req *runtime.CreateContainerRequest) (map[specs.LinuxNamespaceType]string, error) {
	dir := e.files.sandboxDir(s.id)
	joined := map[specs.LinuxNamespaceType]string{}
	for _, kind := range sharedNamespaces(s.create) {
		joined[specType(kind)] = namespaces.Path(dir, kind)
	}
	if s.create.GetIpc() == pluginv1.NamespaceMode_NAMESPACE_MODE_CONTAINER {
		joined[specs.IPCNamespace] = ""
	}
	switch s.create.GetPid() {
	case pluginv1.NamespaceMode_NAMESPACE_MODE_CONTAINER:
		joined[specs.PIDNamespace] = ""
	case pluginv1.NamespaceMode_NAMESPACE_MODE_POD:
		joined[specs.PIDNamespace] = pidNamespace(s.holderPID())
	}
	if target := req.GetTargetContainerId(); target != "" {
		c := e.table.container(target)
		if c == nil || c.rec.SandboxID != s.id {
			return nil, errs.NotFound("target_container_id: there is no container %s in sandbox %s", target, s.id)
		}
		if c.state() != pluginv1.Container_STATE_RUNNING {
			return nil, errs.FailedPrecondition("target_container_id: container %s does not run", target)
		}
		joined[specs.PIDNamespace] = pidNamespace(c.snapshot().GetPid())
	}
	return joined, nil
}

func pidNamespace(pid uint32) string { return fmt.Sprintf("/proc/%d/ns/pid", pid) }

func specType(kind namespaces.Kind) specs.LinuxNamespaceType {
	switch kind {
	case namespaces.Network:
		return specs.NetworkNamespace
	case namespaces.IPC:
		return specs.IPCNamespace
	default:
		return specs.UTSNamespace
	}
}

func stopSignal(req *runtime.CreateContainerRequest, image *imageInfo) string {
	if req.GetStopSignal() != "" {
		return req.GetStopSignal()
	}
	return image.config.StopSignal
}
