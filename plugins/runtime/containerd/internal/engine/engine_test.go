package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/runtime"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/daemon"
	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/keeper"
)

const testImage = "pintle.test/probe:1"

// fixture is one containerd under a directory of the test, and what the
// engines that use it share.
type fixture struct {
	dir    string
	number atomic.Int64
	image  v1.Image
}

var shared *fixture

func TestMain(m *testing.M) {
	// The test's own executable plays the plugin's as the keeper.
	if len(os.Args) == 3 && os.Args[1] == keeper.Command {
		if err := keeper.Serve(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "pintle-rt")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		shared = &fixture{dir: dir}
		if err := shared.makeImage(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		code := m.Run()
		if err := Leave(context.Background(), shared.options().StateDir, shared.options().RunDir, []byte(`{"ownDaemon": true}`)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}())
}

func (f *fixture) options() daemon.Options {
	return daemon.Options{Own: true, StateDir: filepath.Join(f.dir, "state"), RunDir: filepath.Join(f.dir, "run")}
}

// makeImage builds an image of one static program.
func (f *fixture) makeImage() error {
	program := filepath.Join(f.dir, "probe")
	build := exec.Command("go", "build", "-o", program, "github.com/pintle-io/pintle/sdk/conformance/runtimeprobe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the probe: %w\n%s", err, out)
	}
	data, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	layer, err := tarLayer([]tarFile{
		{name: "probe", data: data, mode: 0o755},
		{name: "data", data: []byte("not a program"), mode: 0o644},
		// Links as some distributions have them: absolute, and out of the root.
		{name: "etc/passwd", link: "/../../store/passwd"},
		{name: "store/passwd", data: []byte("root:x:0:0::/:/probe\napp:x:1234:4321::/:/probe\n"), mode: 0o644},
		{name: "etc/group", data: []byte("root:x:0:\napp:x:4321:\nextra:x:77:app\n"), mode: 0o644},
		{name: "tmp/", mode: 0o1777},
		{name: "proc/", mode: 0o755}, {name: "sys/", mode: 0o755}, {name: "dev/", mode: 0o755},
	})
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return err
	}
	f.image, err = mutate.ConfigFile(image, withConfig(image, v1.Config{
		Entrypoint: []string{"/probe"}, Cmd: []string{"print", "hello", "there"},
		Env: []string{"PATH=/", "FROM_IMAGE=yes"}, WorkingDir: "/tmp", StopSignal: "SIGINT",
	}))
	return err
}

func withConfig(image v1.Image, config v1.Config) *v1.ConfigFile {
	file, err := image.ConfigFile()
	if err != nil {
		panic(err)
	}
	file = file.DeepCopy()
	file.Config, file.Architecture, file.OS = config, "amd64", "linux"
	return file
}

func (f *fixture) archive(t testing.TB, image v1.Image, tag string) *bytes.Buffer {
	t.Helper()
	ref, err := name.NewTag(tag)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := tarball.Write(ref, image, &buf); err != nil {
		t.Fatal(err)
	}
	return &buf
}

// start gives an engine with a containerd of the test's own.
func (f *fixture) start(t testing.TB) *Engine {
	t.Helper()
	return f.startWith(t, Config{OwnDaemon: true})
}

func (f *fixture) startWith(t testing.TB, config Config) *Engine {
	t.Helper()
	data, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	o := f.options()
	for _, dir := range []string{o.StateDir, o.RunDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	e := New()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := e.Configure(ctx, &plugin.ConfigureRequest{Config: data, Node: &pluginv1.NodeInfo{Name: "test", StateDir: o.StateDir, RunDir: o.RunDir}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// node is an engine with the test image, and the sandboxes of one test.
type node struct {
	*Engine
	t   testing.TB
	ctx context.Context
	dir string
}

func newNode(t testing.TB) *node {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	n := &node{Engine: shared.start(t), t: t, ctx: ctx, dir: t.TempDir()}
	if _, err := n.GetImage(ctx, &runtime.GetImageRequest{Image: testImage}); err != nil {
		if _, err := n.ImportImage(ctx, &runtime.ImportImageRequest{}, shared.archive(t, shared.image, testImage)); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// sandbox makes one that is removed at the end of the test.
func (n *node) sandbox(change func(*runtime.CreateSandboxRequest)) *runtime.Sandbox {
	n.t.Helper()
	req := n.sandboxRequest()
	id := req.GetSandboxId()
	if change != nil {
		change(req)
	}
	resp, err := n.CreateSandbox(n.ctx, req)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		e := n.Engine
		if e.ctx.Err() != nil {
			// The test has ended this engine.
			e = shared.start(n.t)
		}
		if _, err := e.RemoveSandbox(ctx, &runtime.RemoveSandboxRequest{SandboxId: id}); err != nil {
			n.t.Error(err)
		}
	})
	return resp.GetSandbox()
}

func (n *node) sandboxRequest() *runtime.CreateSandboxRequest {
	id := fmt.Sprintf("test-%d-%d", os.Getpid(), shared.number.Add(1))
	return &runtime.CreateSandboxRequest{
		SandboxId: id, Pod: &runtime.PodIdentity{Namespace: "default", Name: id, Uid: id}, Hostname: "box",
		Network: pluginv1.NamespaceMode_NAMESPACE_MODE_POD, Ipc: pluginv1.NamespaceMode_NAMESPACE_MODE_POD,
		Pid: pluginv1.NamespaceMode_NAMESPACE_MODE_CONTAINER, CgroupParent: "/pintle-test/" + id,
	}
}

func (n *node) create(s *runtime.Sandbox, args []string, change func(*runtime.CreateContainerRequest)) *runtime.Container {
	n.t.Helper()
	id := fmt.Sprintf("%s-c%d", s.GetId(), shared.number.Add(1))
	req := &runtime.CreateContainerRequest{
		SandboxId: s.GetId(), ContainerId: id, Name: "main", Image: testImage, Args: args,
		LogPath: filepath.Join(n.dir, id+".log"),
	}
	if change != nil {
		change(req)
	}
	resp, err := n.CreateContainer(n.ctx, req)
	if err != nil {
		n.t.Fatal(err)
	}
	return resp.GetContainer()
}

func (n *node) run(s *runtime.Sandbox, args []string, change func(*runtime.CreateContainerRequest)) *runtime.Container {
	n.t.Helper()
	c := n.create(s, args, change)
	if _, err := n.StartContainer(n.ctx, &runtime.StartContainerRequest{ContainerId: c.GetId()}); err != nil {
		n.t.Fatal(err)
	}
	return n.get(c.GetId())
}

func (n *node) get(id string) *runtime.Container {
	n.t.Helper()
	resp, err := n.ListContainers(n.ctx, &runtime.ListContainersRequest{ContainerId: id})
	if err != nil {
		n.t.Fatal(err)
	}
	if len(resp.Containers) != 1 {
		n.t.Fatalf("container %s: listed %d times", id, len(resp.Containers))
	}
	return resp.Containers[0]
}

// end waits for a container's end.
func (n *node) end(c *runtime.Container) *runtime.Container {
	n.t.Helper()
	n.until(c.GetId()+" to end", func() bool { return n.get(c.GetId()).GetState() == pluginv1.Container_STATE_EXITED })
	return n.get(c.GetId())
}

func (n *node) until(what string, done func() bool) {
	n.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			n.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// log returns what a container wrote to one stream, lines put together.
func (n *node) log(c *runtime.Container, stream string) string {
	n.t.Helper()
	data, err := os.ReadFile(c.GetLogPath())
	if err != nil {
		n.t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(data)) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(fields) != 4 {
			n.t.Fatalf("bad log line %q", line)
		}
		if fields[1] != stream {
			continue
		}
		out.WriteString(fields[3])
		if fields[2] == "F" {
			out.WriteByte('\n')
		}
	}
	return out.String()
}

// output runs a program to its end and returns what it wrote.
func (n *node) output(s *runtime.Sandbox, args []string, change func(*runtime.CreateContainerRequest)) string {
	n.t.Helper()
	c := n.end(n.run(s, args, change))
	if c.GetExitCode() != 0 {
		n.t.Fatalf("%v: exit code %d: %s%s", args, c.GetExitCode(), c.GetMessage(), n.log(c, "stderr"))
	}
	return n.log(c, "stdout")
}
