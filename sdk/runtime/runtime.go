package runtime

import (
	"context"
	"io"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// Runtime runs containers. The package comment is the contract; the comments
// here say what is particular to a call.
//
// Optional interfaces, each a capability: [Execer] (exec), [Attacher] (attach),
// [StatsReporter] (stats), [Updater] (update).
//
// Calls come concurrently, also for one sandbox. Every call honours the
// context: when it ends, the call returns soon; what it began may or may not
// have happened.
type Runtime interface {
	// Info says what runs the containers. It is cheap and fails with
	// Unavailable where the runtime is out of reach.
	Info(ctx context.Context, req *InfoRequest) (*InfoResponse, error)

	// PullImage fetches an image, unpacks it and calls progress, from one
	// goroutine and never after it has returned, as bytes arrive. The auths of
	// the request are tried in order, then none. NotFound: the registry has no
	// such image. PermissionDenied: no credential was accepted. Unavailable:
	// the registry can't be reached.
	PullImage(ctx context.Context, req *PullImageRequest, progress func(*PullProgress)) (*Image, error)

	// ImportImage reads an OCI or docker archive, plain or compressed, to its
	// end. default_name names an image that has no name in the archive; chunk
	// is not used.
	ImportImage(ctx context.Context, req *ImportImageRequest, archive io.Reader) (*ImportImageResponse, error)

	// ListImages lists the images on the node, each once.
	ListImages(ctx context.Context, req *ListImagesRequest) (*ListImagesResponse, error)

	// GetImage resolves a name, a digest or an ID. NotFound: not on this node.
	GetImage(ctx context.Context, req *GetImageRequest) (*GetImageResponse, error)

	// RemoveImage removes an image with all its names, whichever of them it is
	// called by. FailedPrecondition: a container uses it.
	RemoveImage(ctx context.Context, req *RemoveImageRequest) (*RemoveImageResponse, error)

	// CreateSandbox makes the namespaces and the cgroup of a pod. The network
	// namespace has its loopback link up and nothing else.
	CreateSandbox(ctx context.Context, req *CreateSandboxRequest) (*CreateSandboxResponse, error)

	// StopSandbox kills every container in it, without grace, and lets its
	// namespaces and cgroup go. It returns when all containers have ended.
	StopSandbox(ctx context.Context, req *StopSandboxRequest) (*StopSandboxResponse, error)

	// RemoveSandbox stops the sandbox where needed and forgets it and its
	// containers.
	RemoveSandbox(ctx context.Context, req *RemoveSandboxRequest) (*RemoveSandboxResponse, error)

	// ListSandboxes lists one or all. A sandbox_id that does not exist gives an
	// empty list.
	ListSandboxes(ctx context.Context, req *ListSandboxesRequest) (*ListSandboxesResponse, error)

	// CreateContainer prepares a container in a READY sandbox from an image on
	// the node. It runs nothing yet. FailedPrecondition: the sandbox is stopped.
	CreateContainer(ctx context.Context, req *CreateContainerRequest) (*CreateContainerResponse, error)

	// StartContainer runs it. Starting one that runs succeeds; one that has
	// ended is FailedPrecondition. Where the container can't be started the
	// error says why and the container is EXITED with the same message:
	// InvalidArgument with reason ContainerCannotRun where the command can't be
	// executed.
	StartContainer(ctx context.Context, req *StartContainerRequest) (*StartContainerResponse, error)

	// StopContainer sends the stop signal, waits for the grace period, then
	// kills. It returns when the container has ended.
	StopContainer(ctx context.Context, req *StopContainerRequest) (*StopContainerResponse, error)

	// RemoveContainer forgets a container, killing it where it runs. Its log
	// stays: it is the caller's.
	RemoveContainer(ctx context.Context, req *RemoveContainerRequest) (*RemoveContainerResponse, error)

	// ListContainers lists by ID, by sandbox or all. What does not exist gives
	// an empty list. It is cheap: callers list whenever they want to know.
	ListContainers(ctx context.Context, req *ListContainersRequest) (*ListContainersResponse, error)

	// ReopenLog makes the runtime write to a new file at the container's log
	// path. What was written before is in the old file, whole.
	ReopenLog(ctx context.Context, req *ReopenLogRequest) (*ReopenLogResponse, error)

	// Events calls send, from one goroutine, for what happens to containers,
	// until ctx ends or send fails. The first event is READY: everything that
	// happens after it is sent. A caller that is too slow is ended with
	// ResourceExhausted; it lists again after the next READY. An event is sent
	// after ListContainers shows what it tells.
	Events(ctx context.Context, req *EventsRequest, send func(*Event) error) error
}

// Execer is a Runtime that runs commands in running containers (capability
// "exec").
type Execer interface {
	// Exec runs a command and returns how it ended once all of its output was
	// written. FailedPrecondition: the container does not run. InvalidArgument:
	// the command can't be executed. When the timeout runs out the process is
	// killed and TimedOut set; when ctx ends it is killed too.
	Exec(ctx context.Context, req *ExecStart, streams Streams) (*ExitStatus, error)
}

// Attacher is a Runtime whose containers' streams can be joined (capability
// "attach").
type Attacher interface {
	// Attach joins the streams of a running container until it ends, or until
	// ctx ends, which leaves the container alone. Output from before the call
	// is not repeated. A reader of output that is too slow is ended with
	// ResourceExhausted and never holds the container up.
	Attach(ctx context.Context, req *AttachStart, streams Streams) (*ExitStatus, error)
}

// StatsReporter is a Runtime that measures its containers (capability "stats").
type StatsReporter interface {
	// Stats reports on running containers.
	Stats(ctx context.Context, req *StatsRequest) (*StatsResponse, error)
}

// Updater is a Runtime that can change the resources of a running container
// (capability "update").
type Updater interface {
	// UpdateContainer sets the resources that are not 0; the others stay.
	UpdateContainer(ctx context.Context, req *UpdateContainerRequest) (*UpdateContainerResponse, error)
}

// Capabilities of a runtime plugin, as it reports them.
const (
	CapabilityExec   = "exec"
	CapabilityAttach = "attach"
	CapabilityStats  = "stats"
	CapabilityUpdate = "update"
)

// Streams are the standard streams of a process. A nil stream is not
// connected. With a terminal everything arrives on Stdout.
type Streams struct {
	// Stdin is read until its end or an error; then the input is closed. It may
	// still be read from when the call has returned.
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// Resize carries sizes of the terminal, from whoever owns it. Closing it is
	// allowed and not needed.
	Resize <-chan *TerminalSize
}

// Reasons for which a container ended.
const (
	ReasonCompleted  = "Completed"
	ReasonError      = "Error"
	ReasonOOMKilled  = "OOMKilled"
	ReasonStartError = "StartError"
	ReasonCannotRun  = "ContainerCannotRun"
)

// The messages of the contract: see proto/pintle/plugin/v1/runtime.proto.
type (
	InfoRequest  = pluginv1.RuntimeInfoRequest
	InfoResponse = pluginv1.RuntimeInfoResponse

	RegistryAuth        = pluginv1.RegistryAuth
	PullImageRequest    = pluginv1.PullImageRequest
	PullProgress        = pluginv1.PullImageResponse
	ImportImageRequest  = pluginv1.ImportImageRequest
	ImportImageResponse = pluginv1.ImportImageResponse
	Image               = pluginv1.Image
	ListImagesRequest   = pluginv1.ListImagesRequest
	ListImagesResponse  = pluginv1.ListImagesResponse
	GetImageRequest     = pluginv1.GetImageRequest
	GetImageResponse    = pluginv1.GetImageResponse
	RemoveImageRequest  = pluginv1.RemoveImageRequest
	RemoveImageResponse = pluginv1.RemoveImageResponse

	PodIdentity           = pluginv1.PodIdentity
	NamespaceMode         = pluginv1.NamespaceMode
	Sandbox               = pluginv1.Sandbox
	CreateSandboxRequest  = pluginv1.CreateSandboxRequest
	CreateSandboxResponse = pluginv1.CreateSandboxResponse
	StopSandboxRequest    = pluginv1.StopSandboxRequest
	StopSandboxResponse   = pluginv1.StopSandboxResponse
	RemoveSandboxRequest  = pluginv1.RemoveSandboxRequest
	RemoveSandboxResponse = pluginv1.RemoveSandboxResponse
	ListSandboxesRequest  = pluginv1.ListSandboxesRequest
	ListSandboxesResponse = pluginv1.ListSandboxesResponse

	KeyValue                = pluginv1.KeyValue
	Mount                   = pluginv1.Mount
	Device                  = pluginv1.Device
	LinuxResources          = pluginv1.LinuxResources
	LinuxSecurity           = pluginv1.LinuxSecurity
	SecurityProfile         = pluginv1.SecurityProfile
	Container               = pluginv1.Container
	CreateContainerRequest  = pluginv1.CreateContainerRequest
	CreateContainerResponse = pluginv1.CreateContainerResponse
	StartContainerRequest   = pluginv1.StartContainerRequest
	StartContainerResponse  = pluginv1.StartContainerResponse
	StopContainerRequest    = pluginv1.StopContainerRequest
	StopContainerResponse   = pluginv1.StopContainerResponse
	RemoveContainerRequest  = pluginv1.RemoveContainerRequest
	RemoveContainerResponse = pluginv1.RemoveContainerResponse
	ListContainersRequest   = pluginv1.ListContainersRequest
	ListContainersResponse  = pluginv1.ListContainersResponse
	UpdateContainerRequest  = pluginv1.UpdateContainerRequest
	UpdateContainerResponse = pluginv1.UpdateContainerResponse
	ReopenLogRequest        = pluginv1.ReopenLogRequest
	ReopenLogResponse       = pluginv1.ReopenLogResponse

	TerminalSize = pluginv1.TerminalSize
	ExecStart    = pluginv1.ExecStart
	AttachStart  = pluginv1.AttachStart
	ExitStatus   = pluginv1.ExecExit

	StatsRequest   = pluginv1.StatsRequest
	StatsResponse  = pluginv1.StatsResponse
	ContainerStats = pluginv1.ContainerStats
	EventsRequest  = pluginv1.EventsRequest
	Event          = pluginv1.EventsResponse
)
