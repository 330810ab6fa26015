package conformance

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
)

// RuntimeOptions are what the checks of a runtime need.
type RuntimeOptions struct {
	// Program is runtimeprobe (see the command of that name beside this
	// package), built as a static executable for the machine that the runtime
	// runs on: CGO_ENABLED=0 go build. Without it only checks that run nothing
	// apply.
	Program string
	// Simulated says that containers don't really run, as those of a simulated
	// node: they are RUNNING until they are stopped. Checks of what a program
	// sees or does are skipped.
	Simulated bool
}

// runtimeImage is the name of the image that the checks import.
const runtimeImage = "conformance.pintle.test/probe:1"

func runtimeChecks() []Check {
	var all []Check
	all = append(all, runtimeImageChecks()...)
	all = append(all, runtimeSandboxChecks()...)
	all = append(all, runtimeContainerChecks()...)
	all = append(all, runtimeProgramChecks()...)
	all = append(all, runtimeStreamChecks()...)
	return all
}

// runtimeCheck makes a check from a function that gets a world of its own.
func runtimeCheck(id, sentence string, run func(w *runtimeWorld) error) Check {
	return Check{ID: "runtime." + id, Sentence: sentence, Run: func(ctx context.Context, t *Target) error {
		w := &runtimeWorld{Context: ctx, target: t, id: "cf-" + strings.ToLower(rand.Text()[:10])}
		err := w.open()
		if err == nil {
			err = run(w)
		}
		if cleanErr := w.clean(); err == nil {
			err = cleanErr
		}
		return err
	}}
}

// needsProgram is for checks of what a program in a container sees or does.
func needsProgram(run func(w *runtimeWorld) error) func(w *runtimeWorld) error {
	return func(w *runtimeWorld) error {
		if w.options().Simulated {
			return Skip("containers are simulated")
		}
		if w.options().Program == "" {
			return Skip("the options have no program to run")
		}
		return run(w)
	}
}

// needsRunning is for checks of containers that run, whatever that means.
func needsRunning(run func(w *runtimeWorld) error) func(w *runtimeWorld) error {
	return func(w *runtimeWorld) error {
		if w.options().Program == "" && !w.options().Simulated {
			return Skip("the options have no program to run")
		}
		return run(w)
	}
}

func needsCapability(capability string, run func(w *runtimeWorld) error) func(w *runtimeWorld) error {
	return needsProgram(func(w *runtimeWorld) error {
		if !w.target.Has(capability) {
			return Skip("the plugin does not claim %s", capability)
		}
		return run(w)
	})
}

// runtimeWorld is the plugin with what one check made on it.
type runtimeWorld struct {
	context.Context
	target *Target
	id     string
	client *runtime.Client
	dir    string
	made   []string
	count  int
}

func (w *runtimeWorld) options() RuntimeOptions {
	if w.target.Options.Runtime == nil {
		return RuntimeOptions{}
	}
	return *w.target.Options.Runtime
}

// open connects, also again after a crash.
func (w *runtimeWorld) open() error {
	conn, err := w.target.Conn(w)
	if err != nil {
		return err
	}
	w.client = runtime.NewClient(conn)
	if w.dir == "" {
		w.dir, err = w.target.Dir()
	}
	return err
}

// clean removes the sandboxes of a check, even where its time is over.
func (w *runtimeWorld) clean() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.Context), time.Minute)
	defer cancel()
	w.Context = ctx
	if err := w.open(); err != nil {
		return err
	}
	for _, id := range w.made {
		if _, err := w.client.RemoveSandbox(w, &runtime.RemoveSandboxRequest{SandboxId: id}); err != nil {
			return fmt.Errorf("remove what the check made: %w", err)
		}
	}
	return nil
}

// ensureImage imports the image where it is not there.
func (w *runtimeWorld) ensureImage() error {
	_, err := w.client.GetImage(w, &runtime.GetImageRequest{Image: runtimeImage})
	if err == nil || !errs.Is(err, errs.ClassNotFound) {
		return err
	}
	return w.importImage(runtimeImage)
}

func (w *runtimeWorld) importImage(name string) error {
	program := []byte("nothing that runs")
	if path := w.options().Program; path != "" {
		var err error
		if program, err = os.ReadFile(path); err != nil {
			return err
		}
	}
	archive, err := imageArchive(program)
	if err != nil {
		return err
	}
	resp, err := w.client.ImportImage(w, &runtime.ImportImageRequest{DefaultName: name}, bytes.NewReader(archive))
	if err != nil {
		return fmt.Errorf("ImportImage of a docker archive: %w", err)
	}
	if len(resp.GetImages()) != 1 {
		return fmt.Errorf("ImportImage of an archive with one image answers with %d", len(resp.GetImages()))
	}
	return nil
}

func (w *runtimeWorld) sandboxRequest() *runtime.CreateSandboxRequest {
	w.count++
	id := fmt.Sprintf("%s-%d", w.id, w.count)
	return &runtime.CreateSandboxRequest{
		SandboxId: id, Pod: &runtime.PodIdentity{Namespace: "default", Name: id, Uid: id}, Hostname: "conformance",
		Network: pluginv1.NamespaceMode_NAMESPACE_MODE_POD, Ipc: pluginv1.NamespaceMode_NAMESPACE_MODE_POD,
		Pid:          pluginv1.NamespaceMode_NAMESPACE_MODE_CONTAINER,
		CgroupParent: "/pintle-conformance/" + id,
		Labels:       map[string]string{"label": "of the sandbox"}, Annotations: map[string]string{"annotation": "of the sandbox"},
	}
}

func (w *runtimeWorld) sandbox() (*runtime.Sandbox, error) {
	req := w.sandboxRequest()
	w.made = append(w.made, req.GetSandboxId())
	resp, err := w.client.CreateSandbox(w, req)
	if err != nil {
		return nil, fmt.Errorf("CreateSandbox: %w", err)
	}
	return resp.GetSandbox(), nil
}

func (w *runtimeWorld) containerRequest(sandboxID string, args ...string) *runtime.CreateContainerRequest {
	w.count++
	id := fmt.Sprintf("%s-c%d", sandboxID, w.count)
	return &runtime.CreateContainerRequest{
		SandboxId: sandboxID, ContainerId: id, Name: "main", Attempt: 2, Image: runtimeImage, Args: args,
		LogPath: filepath.Join(w.dir, id+".log"),
		Labels:  map[string]string{"label": "of the container"}, Annotations: map[string]string{"annotation": "of the container"},
	}
}

// create makes a container in a sandbox of its own.
func (w *runtimeWorld) create(args ...string) (*runtime.Container, error) {
	s, err := w.sandbox()
	if err != nil {
		return nil, err
	}
	return w.createIn(w.containerRequest(s.GetId(), args...))
}

func (w *runtimeWorld) createIn(req *runtime.CreateContainerRequest) (*runtime.Container, error) {
	if err := w.ensureImage(); err != nil {
		return nil, err
	}
	resp, err := w.client.CreateContainer(w, req)
	if err != nil {
		return nil, fmt.Errorf("CreateContainer: %w", err)
	}
	return resp.GetContainer(), nil
}

func (w *runtimeWorld) start(c *runtime.Container) error {
	if _, err := w.client.StartContainer(w, &runtime.StartContainerRequest{ContainerId: c.GetId()}); err != nil {
		return fmt.Errorf("StartContainer: %w", err)
	}
	return nil
}

// run starts a container in a sandbox of its own.
func (w *runtimeWorld) run(args ...string) (*runtime.Container, error) {
	c, err := w.create(args...)
	if err != nil {
		return nil, err
	}
	if err := w.start(c); err != nil {
		return nil, err
	}
	return w.get(c.GetId())
}

// get lists one container.
func (w *runtimeWorld) get(id string) (*runtime.Container, error) {
	resp, err := w.client.ListContainers(w, &runtime.ListContainersRequest{ContainerId: id})
	if err != nil {
		return nil, fmt.Errorf("ListContainers: %w", err)
	}
	if len(resp.GetContainers()) != 1 {
		return nil, fmt.Errorf("ListContainers of one ID lists %d containers", len(resp.GetContainers()))
	}
	return resp.GetContainers()[0], nil
}

// ended waits until a container is EXITED.
func (w *runtimeWorld) ended(id string) (*runtime.Container, error) {
	for {
		c, err := w.get(id)
		if err != nil || c.GetState() == pluginv1.Container_STATE_EXITED {
			return c, err
		}
		if err := w.pause(); err != nil {
			return nil, fmt.Errorf("container %s does not end: %w", id, err)
		}
	}
}

// pause waits a moment between two looks at something.
func (w *runtimeWorld) pause() error {
	select {
	case <-w.Done():
		return w.Err()
	case <-time.After(20 * time.Millisecond):
		return nil
	}
}

// output runs a program to its end, which must be a good one.
func (w *runtimeWorld) output(req *runtime.CreateContainerRequest) (stdout, stderr string, err error) {
	c, err := w.createIn(req)
	if err != nil {
		return "", "", err
	}
	if err := w.start(c); err != nil {
		return "", "", err
	}
	if c, err = w.ended(c.GetId()); err != nil {
		return "", "", err
	}
	if stdout, err = readLog(c.GetLogPath(), "stdout"); err != nil {
		return "", "", err
	}
	if stderr, err = readLog(c.GetLogPath(), "stderr"); err != nil {
		return "", "", err
	}
	if c.GetExitCode() != 0 {
		return "", "", fmt.Errorf("%v ended with code %d: %s%s", req.GetArgs(), c.GetExitCode(), c.GetMessage(), stderr)
	}
	return stdout, stderr, nil
}

// mustBe says what is wrong with an error that should be of a class.
func mustBe(err error, class errs.Class, doing string) error {
	switch {
	case err == nil:
		return fmt.Errorf("%s succeeds; it must fail with %s", doing, class)
	case !errs.Is(err, class):
		return fmt.Errorf("%s fails with %s, not %s: %w", doing, errs.ClassOf(err), class, err)
	}
	return nil
}
