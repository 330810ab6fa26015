package runtime

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// Contract serves a Go runtime over gRPC.
func Contract(impl Runtime) plugin.Contract { return &server{impl: impl} }

type server struct {
	pluginv1.UnimplementedRuntimeServer
	impl Runtime
}

func (s *server) Type() pluginv1.PluginType { return pluginv1.PluginType_PLUGIN_TYPE_RUNTIME }

func (s *server) Register(registrar grpc.ServiceRegistrar) {
	pluginv1.RegisterRuntimeServer(registrar, s)
}

func (s *server) Implementation() any { return s.impl }

func (s *server) Describe(resp *pluginv1.DescribeResponse) {
	add := func(capability string, offered bool) {
		if offered {
			resp.Capabilities = append(resp.Capabilities, capability)
		}
	}
	_, exec := s.impl.(Execer)
	_, attach := s.impl.(Attacher)
	_, stats := s.impl.(StatsReporter)
	_, update := s.impl.(Updater)
	add(CapabilityAttach, attach)
	add(CapabilityExec, exec)
	add(CapabilityStats, stats)
	add(CapabilityUpdate, update)
}

func unimplemented(capability string) error {
	return errs.Unimplemented("this runtime does not offer %s: it is not among its capabilities", capability)
}

func (s *server) Info(ctx context.Context, req *InfoRequest) (*InfoResponse, error) {
	return s.impl.Info(ctx, req)
}

func (s *server) ListImages(ctx context.Context, req *ListImagesRequest) (*ListImagesResponse, error) {
	return s.impl.ListImages(ctx, req)
}

func (s *server) GetImage(ctx context.Context, req *GetImageRequest) (*GetImageResponse, error) {
	return s.impl.GetImage(ctx, req)
}

func (s *server) RemoveImage(ctx context.Context, req *RemoveImageRequest) (*RemoveImageResponse, error) {
	return s.impl.RemoveImage(ctx, req)
}

func (s *server) CreateSandbox(ctx context.Context, req *CreateSandboxRequest) (*CreateSandboxResponse, error) {
	return s.impl.CreateSandbox(ctx, req)
}

func (s *server) StopSandbox(ctx context.Context, req *StopSandboxRequest) (*StopSandboxResponse, error) {
	return s.impl.StopSandbox(ctx, req)
}

func (s *server) RemoveSandbox(ctx context.Context, req *RemoveSandboxRequest) (*RemoveSandboxResponse, error) {
	return s.impl.RemoveSandbox(ctx, req)
}

func (s *server) ListSandboxes(ctx context.Context, req *ListSandboxesRequest) (*ListSandboxesResponse, error) {
	return s.impl.ListSandboxes(ctx, req)
}

func (s *server) CreateContainer(ctx context.Context, req *CreateContainerRequest) (*CreateContainerResponse, error) {
	return s.impl.CreateContainer(ctx, req)
}

func (s *server) StartContainer(ctx context.Context, req *StartContainerRequest) (*StartContainerResponse, error) {
	return s.impl.StartContainer(ctx, req)
}

func (s *server) StopContainer(ctx context.Context, req *StopContainerRequest) (*StopContainerResponse, error) {
	return s.impl.StopContainer(ctx, req)
}

func (s *server) RemoveContainer(ctx context.Context, req *RemoveContainerRequest) (*RemoveContainerResponse, error) {
	return s.impl.RemoveContainer(ctx, req)
}

func (s *server) ListContainers(ctx context.Context, req *ListContainersRequest) (*ListContainersResponse, error) {
	return s.impl.ListContainers(ctx, req)
}

func (s *server) UpdateContainer(ctx context.Context, req *UpdateContainerRequest) (*UpdateContainerResponse, error) {
	impl, ok := s.impl.(Updater)
	if !ok {
		return nil, unimplemented(CapabilityUpdate)
	}
	return impl.UpdateContainer(ctx, req)
}

func (s *server) ReopenLog(ctx context.Context, req *ReopenLogRequest) (*ReopenLogResponse, error) {
	return s.impl.ReopenLog(ctx, req)
}

func (s *server) Stats(ctx context.Context, req *StatsRequest) (*StatsResponse, error) {
	impl, ok := s.impl.(StatsReporter)
	if !ok {
		return nil, unimplemented(CapabilityStats)
	}
	return impl.Stats(ctx, req)
}

func (s *server) PullImage(req *PullImageRequest, stream grpc.ServerStreamingServer[PullProgress]) error {
	image, err := s.impl.PullImage(stream.Context(), req, func(p *PullProgress) {
		// A failed send ends the stream's context, which ends the pull.
		_ = stream.Send(p)
	})
	if err != nil {
		return err
	}
	return stream.Send(&PullProgress{Status: "done", Image: image})
}

func (s *server) ImportImage(stream grpc.ClientStreamingServer[ImportImageRequest, ImportImageResponse]) error {
	first, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		return errs.InvalidArgument("import image: the archive is empty")
	}
	if err != nil {
		return err
	}
	archive := &chunkReader{rest: first.GetChunk(), next: func() ([]byte, error) {
		req, err := stream.Recv()
		return req.GetChunk(), err
	}}
	resp, err := s.impl.ImportImage(stream.Context(), &ImportImageRequest{DefaultName: first.GetDefaultName()}, archive)
	if err != nil {
		return err
	}
	return stream.SendAndClose(resp)
}

func (s *server) Events(req *EventsRequest, stream grpc.ServerStreamingServer[Event]) error {
	return s.impl.Events(stream.Context(), req, stream.Send)
}

func (s *server) Exec(stream grpc.BidiStreamingServer[pluginv1.ExecRequest, pluginv1.ExecResponse]) error {
	impl, ok := s.impl.(Execer)
	if !ok {
		return unimplemented(CapabilityExec)
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	start := first.GetStart()
	if start == nil {
		return errs.InvalidArgument("exec: the first message must have start")
	}
	var sending sync.Mutex
	send := func(resp *pluginv1.ExecResponse) error {
		sending.Lock()
		defer sending.Unlock()
		return stream.Send(resp)
	}
	streams, stop := serveInput(stream.Context(), start.GetStdin(), stream.Recv)
	defer stop()
	streams.Stdout = writerFunc(func(p []byte) error {
		return send(&pluginv1.ExecResponse{Response: &pluginv1.ExecResponse_Stdout{Stdout: p}})
	})
	if !start.GetTty() {
		streams.Stderr = writerFunc(func(p []byte) error {
			return send(&pluginv1.ExecResponse{Response: &pluginv1.ExecResponse_Stderr{Stderr: p}})
		})
	}
	exit, err := impl.Exec(stream.Context(), start, streams)
	if err != nil {
		return err
	}
	return send(&pluginv1.ExecResponse{Response: &pluginv1.ExecResponse_Exit{Exit: exit}})
}

func (s *server) Attach(stream grpc.BidiStreamingServer[pluginv1.AttachRequest, pluginv1.AttachResponse]) error {
	impl, ok := s.impl.(Attacher)
	if !ok {
		return unimplemented(CapabilityAttach)
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	start := first.GetStart()
	if start == nil {
		return errs.InvalidArgument("attach: the first message must have start")
	}
	var sending sync.Mutex
	send := func(resp *pluginv1.AttachResponse) error {
		sending.Lock()
		defer sending.Unlock()
		return stream.Send(resp)
	}
	streams, stop := serveInput(stream.Context(), true, stream.Recv)
	defer stop()
	streams.Stdout = writerFunc(func(p []byte) error {
		return send(&pluginv1.AttachResponse{Response: &pluginv1.AttachResponse_Stdout{Stdout: p}})
	})
	streams.Stderr = writerFunc(func(p []byte) error {
		return send(&pluginv1.AttachResponse{Response: &pluginv1.AttachResponse_Stderr{Stderr: p}})
	})
	exit, err := impl.Attach(stream.Context(), start, streams)
	if err != nil {
		return err
	}
	return send(&pluginv1.AttachResponse{Response: &pluginv1.AttachResponse_Exit{Exit: exit}})
}
