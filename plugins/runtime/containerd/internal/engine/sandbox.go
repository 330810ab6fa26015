package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/cgroup"
	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/namespaces"
	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/ocispec"
)

// maxID is containerd's limit of 76 less the ending of a holder's ID.
const maxID = 72

var idPattern = regexp.MustCompile(`^[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*$`)

func checkID(field, id string) error {
	if len(id) > maxID || !idPattern.MatchString(id) {
		return errs.InvalidArgument("%s: %q is not an ID: letters and digits, with single dots, dashes or underscores between them, at most %d characters", field, id, maxID)
	}
	return nil
}

// CreateSandbox implements runtime.Runtime.
func (e *Engine) CreateSandbox(ctx context.Context, req *runtime.CreateSandboxRequest) (*runtime.CreateSandboxResponse, error) {
	if err := e.checkSandbox(req); err != nil {
		return nil, err
	}
	unlock, err := e.verbs.lock(ctx, "sandbox "+req.GetSandboxId())
	if err != nil {
		return nil, err
	}
	defer unlock()
	if s := e.table.sandbox(req.GetSandboxId()); s != nil {
		info := s.snapshot()
		if !proto.Equal(info.GetPod(), req.GetPod()) || info.GetAttempt() != req.GetAttempt() {
			return nil, errs.AlreadyExists("sandbox %s exists and belongs to another pod or attempt", req.GetSandboxId())
		}
		return &runtime.CreateSandboxResponse{Sandbox: info}, nil
	}
	s := &sandbox{id: req.GetSandboxId(), create: req, info: e.sandboxInfo(req, time.Now())}
	if err := e.makeSandbox(ctx, s); err != nil {
		return nil, errors.Join(fmt.Errorf("create sandbox %s: %w", s.id, err), e.clearSandbox(s), os.RemoveAll(e.files.sandboxDir(s.id)))
	}
	e.table.putSandbox(s)
	return &runtime.CreateSandboxResponse{Sandbox: s.info}, nil
}

func (e *Engine) sandboxInfo(req *runtime.CreateSandboxRequest, at time.Time) *runtime.Sandbox {
	info := &runtime.Sandbox{
		Id: req.GetSandboxId(), Pod: req.GetPod(), Attempt: req.GetAttempt(),
		State: pluginv1.Sandbox_STATE_READY, CreatedAt: timestamppb.New(at),
		Labels: req.GetLabels(), Annotations: req.GetAnnotations(), RuntimeHandler: req.GetRuntimeHandler(),
	}
	if req.GetNetwork() == pluginv1.NamespaceMode_NAMESPACE_MODE_POD {
		info.NetworkNamespace = namespaces.Path(e.files.sandboxDir(req.GetSandboxId()), namespaces.Network)
	}
	return info
}

func (e *Engine) checkSandbox(req *runtime.CreateSandboxRequest) error {
	if err := checkID("sandbox_id", req.GetSandboxId()); err != nil {
		return err
	}
	for _, ns := range []struct {
		field string
		mode  pluginv1.NamespaceMode
		own   bool
	}{{"network", req.GetNetwork(), false}, {"ipc", req.GetIpc(), true}, {"pid", req.GetPid(), true}} {
		switch ns.mode {
		case pluginv1.NamespaceMode_NAMESPACE_MODE_POD, pluginv1.NamespaceMode_NAMESPACE_MODE_NODE:
		case pluginv1.NamespaceMode_NAMESPACE_MODE_CONTAINER:
			if !ns.own {
				return errs.InvalidArgument("%s: a namespace for each container is not possible: addresses belong to the pod", ns.field)
			}
		default:
			return errs.InvalidArgument("%s: %s is not a namespace mode", ns.field, ns.mode)
		}
	}
	if err := cgroup.Check(req.GetCgroupParent()); err != nil {
		return errs.InvalidArgument("cgroup_parent: %w", err)
	}
	if _, err := e.handler(req.GetRuntimeHandler()); err != nil {
		return err
	}
	return checkSysctls(req)
}

// checkSysctls allows what belongs to a namespace that the pod has for itself:
// anything else would change the node.
func checkSysctls(req *runtime.CreateSandboxRequest) error {
	for name := range req.GetSysctls() {
		plain := strings.ReplaceAll(name, "/", ".")
		switch {
		case strings.Contains(plain, ".."):
			return errs.InvalidArgument("sysctls: %q is not a name", name)
		case strings.HasPrefix(plain, "net."):
			if req.GetNetwork() != pluginv1.NamespaceMode_NAMESPACE_MODE_POD {
				return errs.InvalidArgument("sysctls: %s can't be set for a pod in the node's network namespace", name)
			}
		case ipcSysctl(plain):
			if req.GetIpc() == pluginv1.NamespaceMode_NAMESPACE_MODE_NODE {
				return errs.InvalidArgument("sysctls: %s can't be set for a pod in the node's IPC namespace", name)
			}
		default:
			return errs.InvalidArgument("sysctls: %s does not belong to a namespace of the pod", name)
		}
	}
	return nil
}

// ipcSysctl: namespaces(7), sysvipc(7) and mq_overview(7).
func ipcSysctl(name string) bool {
	return strings.HasPrefix(name, "kernel.shm") || strings.HasPrefix(name, "kernel.msg") ||
		name == "kernel.sem" || strings.HasPrefix(name, "fs.mqueue.")
}

// sharedNamespaces are those that are made and pinned for the pod. The
// hostname goes with the network, as a pod in the node's network has the
// node's name.
func sharedNamespaces(req *runtime.CreateSandboxRequest) []namespaces.Kind {
	var kinds []namespaces.Kind
	if req.GetNetwork() == pluginv1.NamespaceMode_NAMESPACE_MODE_POD {
		kinds = append(kinds, namespaces.Network, namespaces.UTS)
	}
	if req.GetIpc() == pluginv1.NamespaceMode_NAMESPACE_MODE_POD {
		kinds = append(kinds, namespaces.IPC)
	}
	return kinds
}

func (e *Engine) makeSandbox(ctx context.Context, s *sandbox) error {
	dir := e.files.sandboxDir(s.id)
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return err
	}
	if err := e.claimCgroup(ctx, s); err != nil {
		return err
	}
	sysctls := map[string]string{}
	for name, value := range s.create.GetSysctls() {
		if !ipcSysctl(strings.ReplaceAll(name, "/", ".")) || s.create.GetIpc() == pluginv1.NamespaceMode_NAMESPACE_MODE_POD {
			sysctls[name] = value
		}
	}
	err := namespaces.Create(namespaces.Options{
		Dir: dir, Kinds: sharedNamespaces(s.create), Hostname: s.create.GetHostname(), Sysctls: sysctls,
	})
	if err != nil {
		return err
	}
	if s.create.GetIpc() == pluginv1.NamespaceMode_NAMESPACE_MODE_POD {
		if err := mountShm(e.files.shm(s.id)); err != nil {
			return err
		}
	}
	if s.create.GetPid() == pluginv1.NamespaceMode_NAMESPACE_MODE_POD {
		if err := e.startHolder(ctx, s); err != nil {
			return err
		}
	}
	return e.files.writeSandbox(s, false)
}

func mountShm(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	options := fmt.Sprintf("mode=1777,size=%d", ocispec.ShmSize)
	if err := unix.Mount("shm", path, "tmpfs", unix.MS_NOEXEC|unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount /dev/shm of the pod: %w", err)
	}
	return nil
}

// clearSandbox lets go of what makeSandbox made, all of it or what there is.
func (e *Engine) clearSandbox(s *sandbox) error {
	ctx := context.WithoutCancel(e.ctx)
	return errors.Join(
		e.removeHolder(ctx, s),
		unmountAll(e.files.shm(s.id)),
		namespaces.Release(e.files.sandboxDir(s.id)),
		e.releaseCgroup(ctx, s),
	)
}

func unmountAll(path string) error {
	for {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		switch {
		case err == nil:
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
			return nil
		default:
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
}

// StopSandbox implements runtime.Runtime.
func (e *Engine) StopSandbox(ctx context.Context, req *runtime.StopSandboxRequest) (*runtime.StopSandboxResponse, error) {
	unlock, err := e.verbs.lock(ctx, "sandbox "+req.GetSandboxId())
	if err != nil {
		return nil, err
	}
	defer unlock()
	s := e.table.sandbox(req.GetSandboxId())
	if s == nil {
		return &runtime.StopSandboxResponse{}, nil
	}
	if err := e.stopSandbox(ctx, s); err != nil {
		return nil, fmt.Errorf("stop sandbox %s: %w", s.id, err)
	}
	return &runtime.StopSandboxResponse{}, nil
}

func (e *Engine) stopSandbox(ctx context.Context, s *sandbox) error {
	// From here on no container starts in it.
	s.setState(pluginv1.Sandbox_STATE_STOPPED)
	group, groupCtx := errgroup.WithContext(ctx)
	for _, c := range e.table.containersOf(s.id) {
		group.Go(func() error { return e.endTask(groupCtx, c) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := e.clearSandbox(s); err != nil {
		return err
	}
	if _, err := os.Stat(e.files.sandboxDir(s.id)); err != nil {
		return nil
	}
	return e.files.writeSandbox(s, true)
}

// RemoveSandbox implements runtime.Runtime.
func (e *Engine) RemoveSandbox(ctx context.Context, req *runtime.RemoveSandboxRequest) (*runtime.RemoveSandboxResponse, error) {
	unlock, err := e.verbs.lock(ctx, "sandbox "+req.GetSandboxId())
	if err != nil {
		return nil, err
	}
	defer unlock()
	s := e.table.sandbox(req.GetSandboxId())
	if s == nil {
		return &runtime.RemoveSandboxResponse{}, nil
	}
	if err := e.stopSandbox(ctx, s); err != nil {
		return nil, fmt.Errorf("remove sandbox %s: %w", s.id, err)
	}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, c := range e.table.containersOf(s.id) {
		group.Go(func() error {
			_, err := e.RemoveContainer(groupCtx, &runtime.RemoveContainerRequest{ContainerId: c.id})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("remove sandbox %s: %w", s.id, err)
	}
	if err := os.RemoveAll(e.files.sandboxDir(s.id)); err != nil {
		return nil, errs.Internal("remove sandbox %s: %w", s.id, err)
	}
	e.table.dropSandbox(s.id)
	return &runtime.RemoveSandboxResponse{}, nil
}

// ListSandboxes implements runtime.Runtime.
func (e *Engine) ListSandboxes(_ context.Context, req *runtime.ListSandboxesRequest) (*runtime.ListSandboxesResponse, error) {
	resp := &runtime.ListSandboxesResponse{}
	if id := req.GetSandboxId(); id != "" {
		if s := e.table.sandbox(id); s != nil {
			resp.Sandboxes = append(resp.Sandboxes, s.snapshot())
		}
		return resp, nil
	}
	for _, s := range e.table.allSandboxes() {
		resp.Sandboxes = append(resp.Sandboxes, s.snapshot())
	}
	return resp, nil
}
