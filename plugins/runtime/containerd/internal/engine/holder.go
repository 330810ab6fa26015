package engine

import (
	"context"
	"os"
	"path/filepath"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	taskapi "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/errdefs"
	"github.com/containerd/typeurl/v2"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/holder"
	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/namespaces"
	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/ocispec"
)

const (
	// holderSuffix makes the ID of a holder's container: see maxID.
	holderSuffix = "-pid"
	// holderUser has no rights to anything: the greatest 16-bit user, as
	// Kubernetes' pause image has it.
	holderUser = 65535
	// holderOOMScore makes the kernel choose any container before the holder,
	// with which all would end.
	holderOOMScore = -998
)

func (s *sandbox) holderPID() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holder
}

func (s *sandbox) setHolder(pid uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holder = pid
}

func sharesPID(s *sandbox) bool {
	return s.create.GetPid() == pluginv1.NamespaceMode_NAMESPACE_MODE_POD
}

// startHolder runs the first process of a process namespace for the pod: a
// namespace without one takes no more processes (pid_namespaces(7)), so that it
// can't be pinned as the others.
func (e *Engine) startHolder(ctx context.Context, s *sandbox) error {
	root, err := e.holderRoot()
	if err != nil {
		return errs.FailedPrecondition("pid: %w", err)
	}
	spec, err := typeurl.MarshalAny(e.holderSpec(s, root))
	if err != nil {
		return err
	}
	handler, err := e.handler(s.create.GetRuntimeHandler())
	if err != nil {
		return err
	}
	id := s.id + holderSuffix
	if err := e.removeHolder(ctx, s); err != nil {
		return err
	}
	_, err = e.client.ContainerService().Create(ctx, containers.Container{
		ID: id, Labels: map[string]string{labelKind: kindHolder, labelSandbox: s.id}, Runtime: handler, Spec: spec,
	})
	if err != nil {
		return classify(err, "record the holder of the process namespace")
	}
	created, err := call(ctx, e.tasksClient().Create, &tasksapi.CreateTaskRequest{ContainerID: id})
	if err != nil {
		return classify(err, "make the process namespace")
	}
	if _, err := call(ctx, e.tasksClient().Start, &tasksapi.StartRequest{ContainerID: id}); err != nil {
		return classify(err, "make the process namespace")
	}
	s.setHolder(created.Pid)
	return nil
}

// holderRoot is the root file system of all holders: the program and the
// places where the OCI runtime mounts.
func (e *Engine) holderRoot() (string, error) {
	root := filepath.Join(e.files.run, "holder")
	program := filepath.Join(root, "holder")
	if _, err := os.Stat(program); err == nil {
		return root, nil
	}
	code, err := holder.Program()
	if err != nil {
		return "", err
	}
	for _, dir := range []string{"proc", "dev"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return "", err
		}
	}
	// Others may be making it too: it appears whole.
	temporary, err := os.CreateTemp(root, "new-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	if _, err := temporary.Write(code); err != nil {
		return "", err
	}
	if err := temporary.Chmod(0o555); err != nil {
		return "", err
	}
	if err := temporary.Close(); err != nil {
		return "", err
	}
	return root, os.Rename(temporary.Name(), program)
}

func (e *Engine) holderSpec(s *sandbox, root string) *specs.Spec {
	score := max(holderOOMScore, e.oomFloor)
	joined := []specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.PIDNamespace}}
	for _, kind := range sharedNamespaces(s.create) {
		joined = append(joined, specs.LinuxNamespace{Type: specType(kind), Path: namespaces.Path(e.files.sandboxDir(s.id), kind)})
	}
	return &specs.Spec{
		Version: ocispec.Version,
		Root:    &specs.Root{Path: root, Readonly: true},
		Process: &specs.Process{
			User: specs.User{UID: holderUser, GID: holderUser}, Args: []string{"/holder"}, Cwd: "/",
			Capabilities: &specs.LinuxCapabilities{}, NoNewPrivileges: true, OOMScoreAdj: &score,
		},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "noexec", "mode=755", "size=64k"}},
		},
		Annotations: map[string]string{shimGroup: s.id},
		Linux: &specs.Linux{
			CgroupsPath: s.create.GetCgroupParent() + "/" + s.id + holderSuffix,
			Namespaces:  joined,
			Resources:   &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}},
		},
	}
}

func (e *Engine) removeHolder(ctx context.Context, s *sandbox) error {
	if !sharesPID(s) {
		return nil
	}
	id := s.id + holderSuffix
	if err := e.deleteTask(ctx, id); err != nil {
		return err
	}
	if err := e.client.ContainerService().Delete(ctx, id); err != nil && !errdefs.IsNotFound(err) {
		return classify(err, "forget the holder of the process namespace")
	}
	s.setHolder(0)
	return nil
}

// loadHolder finds a holder again. A sandbox whose holder has ended can't be
// used any more.
func (e *Engine) loadHolder(ctx context.Context, record containers.Container, task *taskapi.Process) error {
	s := e.table.sandbox(record.Labels[labelSandbox])
	if s == nil || !sharesPID(s) {
		// Its sandbox is only known by its containers now, or not at all.
		if err := e.deleteTask(ctx, record.ID); err != nil {
			return err
		}
		return classify(e.client.ContainerService().Delete(ctx, record.ID), "forget the holder %s", record.ID)
	}
	if task == nil || task.Status != taskapi.Status_RUNNING {
		s.setState(pluginv1.Sandbox_STATE_STOPPED)
		return nil
	}
	s.setHolder(task.Pid)
	return nil
}

// holderEnded is called when a task ended that is no container of the contract.
func (e *Engine) holderEnded(id string) {
	for _, s := range e.table.allSandboxes() {
		if s.id+holderSuffix == id && sharesPID(s) && s.ready() {
			e.logger.Error("the first process of a pod's process namespace ended; the sandbox is stopped", "sandbox", s.id)
			s.setState(pluginv1.Sandbox_STATE_STOPPED)
			if err := e.files.writeSandbox(s, true); err != nil {
				e.logger.Warn("can't note that a sandbox is stopped", "sandbox", s.id, "err", err)
			}
		}
	}
}
