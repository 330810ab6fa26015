package ocispec

import (
	"fmt"
	"strings"

	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/cgroup"
)

// Version of the specification that is written; runc 1.0 and later accept it.
const Version = "1.0.2"

// defaultPath is what a process finds programs by where nobody says otherwise.
const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Input is all that a specification is made of.
type Input struct {
	Request *pluginv1.CreateContainerRequest
	Image   imagespec.ImageConfig
	User    specs.User

	Hostname string
	// CgroupPath is the container's own cgroup.
	CgroupPath string
	// Paths of the namespaces to join: an empty string is a new one, a missing
	// key the node's.
	Namespaces map[specs.LinuxNamespaceType]string
	// ShmPath is the pod's /dev/shm; empty for one of the container's own.
	ShmPath string
	// Sysctls of namespaces that are the container's own.
	Sysctls     map[string]string
	Annotations map[string]string
	// OOMScoreFloor is the least oom_score_adj that this machine lets us set.
	OOMScoreFloor int
}

// Build makes the specification. The root file system is "rootfs" in the
// bundle, where containerd's shim mounts it.
func Build(in Input) (*specs.Spec, error) {
	req := in.Request
	args, err := arguments(req, in.Image)
	if err != nil {
		return nil, err
	}
	spec := &specs.Spec{
		Version: Version,
		Root:    &specs.Root{Path: "rootfs", Readonly: req.GetSecurity().GetReadOnlyRootfs()},
		Process: &specs.Process{
			Terminal:        req.GetTty(),
			User:            in.User,
			Args:            args,
			Env:             environment(req, in.Image, in.Hostname),
			Cwd:             workingDir(req, in.Image),
			NoNewPrivileges: req.GetSecurity().GetNoNewPrivileges(),
			OOMScoreAdj:     oomScore(req, in.OOMScoreFloor),
		},
		Annotations: in.Annotations,
		Linux: &specs.Linux{
			CgroupsPath: in.CgroupPath,
			Resources:   cgroup.Resources(req.GetResources()),
			Namespaces:  namespaces(in.Namespaces),
			Sysctl:      in.Sysctls,
		},
	}
	if path, ok := in.Namespaces[specs.UTSNamespace]; ok && path == "" {
		spec.Hostname = in.Hostname
	}
	if err := addMounts(spec, req, in.ShmPath); err != nil {
		return nil, err
	}
	if err := addDevices(spec, req); err != nil {
		return nil, err
	}
	// Last: the seccomp profile depends on the capabilities.
	if err := addSecurity(spec, req.GetSecurity()); err != nil {
		return nil, err
	}
	return spec, nil
}

func arguments(req *pluginv1.CreateContainerRequest, image imagespec.ImageConfig) ([]string, error) {
	command, args := req.GetCommand(), req.GetArgs()
	if len(command) == 0 {
		command = image.Entrypoint
		if len(args) == 0 {
			args = image.Cmd
		}
	}
	all := append(append([]string(nil), command...), args...)
	if len(all) == 0 {
		return nil, errs.InvalidArgument("container %s: no command: the image %s has none and none was given", req.GetName(), req.GetImage()).
			WithReason("ContainerCannotRun").WithHint("set command or args of the container")
	}
	return all, nil
}

func environment(req *pluginv1.CreateContainerRequest, image imagespec.ImageConfig, hostname string) []string {
	env := newEnv(defaultPath)
	if hostname != "" {
		env.set("HOSTNAME=" + hostname)
	}
	if req.GetTty() {
		env.set("TERM=xterm")
	}
	for _, entry := range image.Env {
		env.set(entry)
	}
	for _, kv := range req.GetEnv() {
		env.set(kv.GetKey() + "=" + kv.GetValue())
	}
	return env.list
}

// env keeps variables in order, each once.
type env struct {
	list  []string
	index map[string]int
}

func newEnv(first string) *env {
	e := &env{index: map[string]int{}}
	e.set(first)
	return e
}

func (e *env) set(entry string) {
	key, _, _ := strings.Cut(entry, "=")
	if i, ok := e.index[key]; ok {
		e.list[i] = entry
		return
	}
	e.index[key] = len(e.list)
	e.list = append(e.list, entry)
}

func workingDir(req *pluginv1.CreateContainerRequest, image imagespec.ImageConfig) string {
	for _, dir := range []string{req.GetWorkingDir(), image.WorkingDir} {
		if dir == "" {
			continue
		}
		// The specification wants an absolute path.
		if !strings.HasPrefix(dir, "/") {
			dir = "/" + dir
		}
		return dir
	}
	return "/"
}

func oomScore(req *pluginv1.CreateContainerRequest, floor int) *int {
	score := max(int(req.GetResources().GetOomScoreAdj()), floor)
	return &score
}

func namespaces(paths map[specs.LinuxNamespaceType]string) []specs.LinuxNamespace {
	out := []specs.LinuxNamespace{{Type: specs.MountNamespace}}
	// A fixed order, so that the same container has the same specification.
	for _, kind := range []specs.LinuxNamespaceType{
		specs.PIDNamespace, specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.CgroupNamespace,
	} {
		if path, ok := paths[kind]; ok {
			out = append(out, specs.LinuxNamespace{Type: kind, Path: path})
		}
	}
	return out
}

// invalid is an error about a field of the request.
func invalid(field, format string, args ...any) error {
	return errs.InvalidArgument("%s: %s", field, fmt.Sprintf(format, args...))
}
