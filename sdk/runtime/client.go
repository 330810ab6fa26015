package runtime

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

// Client calls a runtime plugin. It has every optional call too; one that the
// plugin does not offer is Unimplemented.
type Client struct {
	rpc pluginv1.RuntimeClient
}

var (
	_ Runtime       = (*Client)(nil)
	_ Execer        = (*Client)(nil)
	_ Attacher      = (*Client)(nil)
	_ StatsReporter = (*Client)(nil)
	_ Updater       = (*Client)(nil)
)

// NewClient calls the runtime plugin at the other end of a connection, which
// must have the interceptors of sdk/errs (those of core/host have).
func NewClient(conn grpc.ClientConnInterface) *Client {
	return &Client{rpc: pluginv1.NewRuntimeClient(conn)}
}

func (c *Client) Info(ctx context.Context, req *InfoRequest) (*InfoResponse, error) {
	return c.rpc.Info(ctx, req)
}

func (c *Client) ListImages(ctx context.Context, req *ListImagesRequest) (*ListImagesResponse, error) {
	return c.rpc.ListImages(ctx, req)
}

func (c *Client) GetImage(ctx context.Context, req *GetImageRequest) (*GetImageResponse, error) {
	return c.rpc.GetImage(ctx, req)
}

func (c *Client) RemoveImage(ctx context.Context, req *RemoveImageRequest) (*RemoveImageResponse, error) {
	return c.rpc.RemoveImage(ctx, req)
}

func (c *Client) CreateSandbox(ctx context.Context, req *CreateSandboxRequest) (*CreateSandboxResponse, error) {
	return c.rpc.CreateSandbox(ctx, req)
}

func (c *Client) StopSandbox(ctx context.Context, req *StopSandboxRequest) (*StopSandboxResponse, error) {
	return c.rpc.StopSandbox(ctx, req)
}

func (c *Client) RemoveSandbox(ctx context.Context, req *RemoveSandboxRequest) (*RemoveSandboxResponse, error) {
	return c.rpc.RemoveSandbox(ctx, req)
}

func (c *Client) ListSandboxes(ctx context.Context, req *ListSandboxesRequest) (*ListSandboxesResponse, error) {
	return c.rpc.ListSandboxes(ctx, req)
}

func (c *Client) CreateContainer(ctx context.Context, req *CreateContainerRequest) (*CreateContainerResponse, error) {
	return c.rpc.CreateContainer(ctx, req)
}

func (c *Client) StartContainer(ctx context.Context, req *StartContainerRequest) (*StartContainerResponse, error) {
	return c.rpc.StartContainer(ctx, req)
}

func (c *Client) StopContainer(ctx context.Context, req *StopContainerRequest) (*StopContainerResponse, error) {
	return c.rpc.StopContainer(ctx, req)
}

func (c *Client) RemoveContainer(ctx context.Context, req *RemoveContainerRequest) (*RemoveContainerResponse, error) {
	return c.rpc.RemoveContainer(ctx, req)
}

func (c *Client) ListContainers(ctx context.Context, req *ListContainersRequest) (*ListContainersResponse, error) {
	return c.rpc.ListContainers(ctx, req)
}

func (c *Client) UpdateContainer(ctx context.Context, req *UpdateContainerRequest) (*UpdateContainerResponse, error) {
	return c.rpc.UpdateContainer(ctx, req)
}

func (c *Client) ReopenLog(ctx context.Context, req *ReopenLogRequest) (*ReopenLogResponse, error) {
	return c.rpc.ReopenLog(ctx, req)
}

func (c *Client) Stats(ctx context.Context, req *StatsRequest) (*StatsResponse, error) {
	return c.rpc.Stats(ctx, req)
}

func (c *Client) PullImage(ctx context.Context, req *PullImageRequest, progress func(*PullProgress)) (*Image, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.rpc.PullImage(ctx, req)
	if err != nil {
		return nil, err
	}
	for {
		msg, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil, errs.Internal("pull image %s: the plugin ended the stream without an image", req.GetImage())
		}
		if err != nil {
			return nil, err
		}
		if msg.GetImage() != nil {
			return msg.GetImage(), nil
		}
		if progress != nil {
			progress(msg)
		}
	}
}

func (c *Client) ImportImage(ctx context.Context, req *ImportImageRequest, archive io.Reader) (*ImportImageResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.rpc.ImportImage(ctx)
	if err != nil {
		return nil, err
	}
	msg := &ImportImageRequest{DefaultName: req.GetDefaultName()}
	buf := make([]byte, 1<<20)
	for first := true; ; first = false {
		n, readErr := archive.Read(buf)
		if n > 0 || (first && errors.Is(readErr, io.EOF)) {
			msg.Chunk = buf[:n]
			// A send fails with EOF where the plugin has ended the call:
			// CloseAndRecv then has its error.
			if err := stream.Send(msg); err != nil {
				if errors.Is(err, io.EOF) {
					break
				}
				return nil, err
			}
			msg = &ImportImageRequest{}
		}
		if errors.Is(readErr, io.EOF) {
			break
		}
		if readErr != nil {
			return nil, errs.InvalidArgument("import image: read the archive: %w", readErr)
		}
	}
	return stream.CloseAndRecv()
}

func (c *Client) Events(ctx context.Context, req *EventsRequest, send func(*Event) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.rpc.Events(ctx, req)
	if err != nil {
		return err
	}
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return errs.Unavailable("the plugin ended its stream of events")
		}
		if err != nil {
			return err
		}
		if err := send(event); err != nil {
			return err
		}
	}
}

func (c *Client) Exec(ctx context.Context, req *ExecStart, streams Streams) (*ExitStatus, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.rpc.Exec(ctx)
	if err != nil {
		return nil, err
	}
	err = stream.Send(&pluginv1.ExecRequest{Request: &pluginv1.ExecRequest_Start{Start: req}})
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	sendInput(ctx, streams, inputSender{
		stdin: func(p []byte) error {
			return stream.Send(&pluginv1.ExecRequest{Request: &pluginv1.ExecRequest_Stdin{Stdin: p}})
		},
		resize: func(size *TerminalSize) error {
			return stream.Send(&pluginv1.ExecRequest{Request: &pluginv1.ExecRequest_Resize{Resize: size}})
		},
		closeStdin: func() error {
			return stream.Send(&pluginv1.ExecRequest{Request: &pluginv1.ExecRequest_CloseStdin{CloseStdin: true}})
		},
	})
	return receiveOutput(streams, func() (outputMessage, error) { return stream.Recv() })
}

func (c *Client) Attach(ctx context.Context, req *AttachStart, streams Streams) (*ExitStatus, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.rpc.Attach(ctx)
	if err != nil {
		return nil, err
	}
	err = stream.Send(&pluginv1.AttachRequest{Request: &pluginv1.AttachRequest_Start{Start: req}})
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	sendInput(ctx, streams, inputSender{
		stdin: func(p []byte) error {
			return stream.Send(&pluginv1.AttachRequest{Request: &pluginv1.AttachRequest_Stdin{Stdin: p}})
		},
		resize: func(size *TerminalSize) error {
			return stream.Send(&pluginv1.AttachRequest{Request: &pluginv1.AttachRequest_Resize{Resize: size}})
		},
		closeStdin: func() error {
			return stream.Send(&pluginv1.AttachRequest{Request: &pluginv1.AttachRequest_CloseStdin{CloseStdin: true}})
		},
	})
	return receiveOutput(streams, func() (outputMessage, error) { return stream.Recv() })
}
