package runtime_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
)

// base is a runtime with nothing optional; a call that a test does not replace
// panics on the nil interface.
type base struct{ runtime.Runtime }

func (base) PullImage(_ context.Context, req *runtime.PullImageRequest, progress func(*runtime.PullProgress)) (*runtime.Image, error) {
	if req.GetImage() == "missing" {
		return nil, errs.NotFound("no %s", req.GetImage()).WithReason("ImageNotFound").WithHint("spell it right")
	}
	progress(&runtime.PullProgress{DoneBytes: 1, TotalBytes: 2})
	return &runtime.Image{Id: req.GetImage()}, nil
}

func (base) ImportImage(_ context.Context, req *runtime.ImportImageRequest, archive io.Reader) (*runtime.ImportImageResponse, error) {
	data, err := io.ReadAll(archive)
	if err != nil {
		return nil, err
	}
	return &runtime.ImportImageResponse{Images: []*runtime.Image{{Id: req.GetDefaultName(), SizeBytes: int64(len(data))}}}, nil
}

func (base) Events(_ context.Context, _ *runtime.EventsRequest, send func(*runtime.Event) error) error {
	for _, kind := range []pluginv1.EventsResponse_Type{pluginv1.EventsResponse_TYPE_READY, pluginv1.EventsResponse_TYPE_OOM} {
		if err := send(&runtime.Event{Type: kind}); err != nil {
			return err
		}
	}
	return errs.ResourceExhausted("too slow")
}

// full offers everything.
type full struct{ base }

// Exec copies its input to its output and says what it was resized to.
func (full) Exec(_ context.Context, req *runtime.ExecStart, streams runtime.Streams) (*runtime.ExitStatus, error) {
	if streams.Resize != nil && req.GetTty() {
		size := <-streams.Resize
		return &runtime.ExitStatus{ExitCode: int32(size.GetWidth())}, nil
	}
	if _, err := io.Copy(streams.Stdout, streams.Stdin); err != nil {
		return nil, err
	}
	_, err := io.WriteString(streams.Stderr, "done")
	return &runtime.ExitStatus{ExitCode: 7}, err
}

func (full) Attach(ctx context.Context, _ *runtime.AttachStart, streams runtime.Streams) (*runtime.ExitStatus, error) {
	_, _ = io.WriteString(streams.Stdout, "attached")
	<-ctx.Done()
	return nil, ctx.Err()
}

func (full) Stats(context.Context, *runtime.StatsRequest) (*runtime.StatsResponse, error) {
	return &runtime.StatsResponse{}, nil
}

func (full) UpdateContainer(context.Context, *runtime.UpdateContainerRequest) (*runtime.UpdateContainerResponse, error) {
	return &runtime.UpdateContainerResponse{}, nil
}

func connect(t *testing.T, impl runtime.Runtime) *runtime.Client {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(errs.ServerOptions()...)
	runtime.Contract(impl).Register(server)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:test", append(errs.DialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return runtime.NewClient(conn)
}

func TestCapabilitiesFollowFromWhatIsImplemented(t *testing.T) {
	for _, c := range []struct {
		impl runtime.Runtime
		want []string
	}{{base{}, nil}, {full{}, []string{"attach", "exec", "stats", "update"}}} {
		var d pluginv1.DescribeResponse
		runtime.Contract(c.impl).Describe(&d)
		if !slices.Equal(d.GetCapabilities(), c.want) {
			t.Errorf("%T: %v", c.impl, d.GetCapabilities())
		}
	}
	client := connect(t, base{})
	_, exec := client.Exec(t.Context(), &runtime.ExecStart{}, runtime.Streams{})
	_, attach := client.Attach(t.Context(), &runtime.AttachStart{}, runtime.Streams{})
	_, stats := client.Stats(t.Context(), &runtime.StatsRequest{})
	_, update := client.UpdateContainer(t.Context(), &runtime.UpdateContainerRequest{})
	for _, err := range []error{exec, attach, stats, update} {
		if !errs.Is(err, errs.ClassUnimplemented) {
			t.Errorf("what is not offered: %v", err)
		}
	}
}

func TestPullReportsAndReturns(t *testing.T) {
	client := connect(t, base{})
	var reports []*runtime.PullProgress
	image, err := client.PullImage(t.Context(), &runtime.PullImageRequest{Image: "x"}, func(p *runtime.PullProgress) { reports = append(reports, p) })
	if err != nil || image.GetId() != "x" || len(reports) != 1 || reports[0].GetTotalBytes() != 2 {
		t.Errorf("%v, %v, %v", image, reports, err)
	}
	_, err = client.PullImage(t.Context(), &runtime.PullImageRequest{Image: "missing"}, nil)
	if !errs.Is(err, errs.ClassNotFound) || errs.Reason(err) != "ImageNotFound" || errs.Hint(err) != "spell it right" {
		t.Errorf("an error on the wire: %v", err)
	}
}

func TestImportStreams(t *testing.T) {
	client := connect(t, base{})
	for _, size := range []int{0, 1, 3 << 20} {
		resp, err := client.ImportImage(t.Context(), &runtime.ImportImageRequest{DefaultName: "n"}, bytes.NewReader(make([]byte, size)))
		if err != nil || resp.GetImages()[0].GetSizeBytes() != int64(size) || resp.GetImages()[0].GetId() != "n" {
			t.Errorf("%d bytes: %v, %v", size, resp, err)
		}
	}
}

func TestEvents(t *testing.T) {
	client := connect(t, base{})
	var kinds []pluginv1.EventsResponse_Type
	err := client.Events(t.Context(), &runtime.EventsRequest{}, func(event *runtime.Event) error {
		kinds = append(kinds, event.GetType())
		return nil
	})
	if !errs.Is(err, errs.ClassResourceExhausted) || len(kinds) != 2 {
		t.Errorf("%v, %v", kinds, err)
	}
	enough := errors.New("enough")
	if err := client.Events(t.Context(), &runtime.EventsRequest{}, func(*runtime.Event) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("a caller that has enough: %v", err)
	}
}

func TestExecStreams(t *testing.T) {
	client := connect(t, full{})
	input := strings.Repeat("0123456789", 50_000)
	var out, stderr bytes.Buffer
	exit, err := client.Exec(t.Context(), &runtime.ExecStart{Stdin: true}, runtime.Streams{Stdin: strings.NewReader(input), Stdout: &out, Stderr: &stderr})
	if err != nil || exit.GetExitCode() != 7 || out.String() != input || stderr.String() != "done" {
		t.Errorf("exit %v, %d of %d bytes, stderr %q, %v", exit, out.Len(), len(input), stderr.String(), err)
	}
	resize := make(chan *runtime.TerminalSize, 1)
	resize <- &runtime.TerminalSize{Width: 91}
	if exit, err = client.Exec(t.Context(), &runtime.ExecStart{Tty: true}, runtime.Streams{Resize: resize}); err != nil || exit.GetExitCode() != 91 {
		t.Errorf("resize: %v, %v", exit, err)
	}
}

func TestAttachEndsWithItsCaller(t *testing.T) {
	client := connect(t, full{})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := client.Attach(ctx, &runtime.AttachStart{}, runtime.Streams{Stdout: writer(func(p []byte) {
		if string(p) == "attached" {
			cancel()
		}
	})})
	if !errs.Is(err, errs.ClassCanceled) {
		t.Errorf("%v", err)
	}
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}
