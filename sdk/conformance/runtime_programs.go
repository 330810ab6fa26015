package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
)

func runtimeProgramChecks() []Check {
	return []Check{
		runtimeCheck("program.exit", "An exited container keeps its exit code, times and reason: Completed for 0, Error for any other.", needsProgram(checkExit)),
		runtimeCheck("program.cannot-run", "A command that does not exist is InvalidArgument with the command's name, and the container is EXITED with reason ContainerCannotRun.", needsProgram(checkCannotRun)),
		runtimeCheck("program.command", "command replaces the image's entrypoint, args its command; env is added to the image's; working_dir replaces the image's.", needsProgram(checkCommand)),
		runtimeCheck("program.namespaces", "The containers of a sandbox share network, IPC and hostname, the network's loopback is up, and /dev/shm is one.", needsProgram(checkNamespaces)),
		runtimeCheck("program.user", "A container runs as the user, group and groups that were asked for.", needsProgram(checkUser)),
		runtimeCheck("program.mount", "Mounts are there, and read-only ones can't be written.", needsProgram(checkMount)),
		runtimeCheck("program.stop-signal", "StopContainer sends the stop signal and waits for the grace period, then kills.", needsProgram(checkStopSignal)),
		runtimeCheck("program.oom", "A container that the kernel ended for memory has reason OOMKilled.", needsProgram(checkOOM)),
		runtimeCheck("log.format", "Output goes to log_path in the CRI line format, whole, by stream.", needsProgram(checkLog)),
		runtimeCheck("log.reopen", "After a rename and ReopenLog output goes to a new file, and nothing is lost.", needsProgram(checkReopen)),
		runtimeCheck("restart.running", "Containers outlive a killed plugin with their processes, and are stopped by the next one.", needsProgram(checkRestartRunning)),
		runtimeCheck("restart.ended", "The exit code, reason, times and output of a container that ends while the plugin is away are found.", needsProgram(checkRestartEnded)),
	}
}

// programIn runs a program in a sandbox and returns what it wrote to stdout.
func (w *runtimeWorld) programIn(sandboxID string, change func(*runtime.CreateContainerRequest), args ...string) (string, error) {
	req := w.containerRequest(sandboxID, args...)
	if change != nil {
		change(req)
	}
	stdout, _, err := w.output(req)
	return stdout, err
}

func (w *runtimeWorld) program(change func(*runtime.CreateContainerRequest), args ...string) (string, error) {
	s, err := w.sandbox()
	if err != nil {
		return "", err
	}
	return w.programIn(s.GetId(), change, args...)
}

// differs says that something is not as it should be.
func differs(what, got, want string) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("%s is %.200q, not %.200q", what, got, want)
}

func checkExit(w *runtimeWorld) error {
	for code, reason := range map[int32]string{0: runtime.ReasonCompleted, 3: runtime.ReasonError} {
		c, err := w.run("exit", fmt.Sprint(code))
		if err != nil {
			return err
		}
		if c, err = w.ended(c.GetId()); err != nil {
			return err
		}
		if c.GetExitCode() != code || c.GetReason() != reason || c.GetFinishedAt().AsTime().Before(c.GetStartedAt().AsTime()) || c.GetSignal() != 0 {
			return fmt.Errorf("a program that ended with code %d: %v", code, c)
		}
	}
	return nil
}

func checkCannotRun(w *runtimeWorld) error {
	s, err := w.sandbox()
	if err != nil {
		return err
	}
	req := w.containerRequest(s.GetId())
	req.Command = []string{"/no/such/command"}
	c, err := w.createIn(req)
	if err != nil {
		return err
	}
	_, err = w.client.StartContainer(w, &runtime.StartContainerRequest{ContainerId: c.GetId()})
	if err := mustBe(err, errs.ClassInvalidArgument, "StartContainer"); err != nil {
		return err
	}
	if !strings.Contains(err.Error(), "/no/such/command") {
		return fmt.Errorf("the error does not name the command: %w", err)
	}
	if c, err = w.get(c.GetId()); err != nil {
		return err
	}
	if c.GetState() != pluginv1.Container_STATE_EXITED || c.GetReason() != runtime.ReasonCannotRun || !strings.Contains(c.GetMessage(), "/no/such/command") {
		return fmt.Errorf("the container is %v", c)
	}
	return nil
}

func checkCommand(w *runtimeWorld) error {
	s, err := w.sandbox()
	if err != nil {
		return err
	}
	for _, c := range []struct {
		what, want string
		change     func(*runtime.CreateContainerRequest)
		args       []string
	}{
		{"output of the image's command", "from the\n", nil, nil},
		{"output with args", "given\n", nil, []string{"print", "given", ""}},
		{"output with command and args", "both\n", func(r *runtime.CreateContainerRequest) { r.Command = []string{"/runtimeprobe", "print"} }, []string{"both", ""}},
		{"variable of the image", "from the image\n", nil, []string{"env", "IMAGE_VARIABLE"}},
		{"variable that replaces one of the image", "new\n", func(r *runtime.CreateContainerRequest) {
			r.Env = []*runtime.KeyValue{{Key: "IMAGE_VARIABLE", Value: "new"}}
		}, []string{"env", "IMAGE_VARIABLE"}},
		{"working directory", "probe:", func(r *runtime.CreateContainerRequest) { r.WorkingDir = "/etc" }, []string{"read", "passwd"}},
	} {
		got, err := w.programIn(s.GetId(), c.change, c.args...)
		if err != nil {
			return fmt.Errorf("%s: %w", c.what, err)
		}
		if c.what == "working directory" && strings.Contains(got, c.want) {
			continue
		}
		if err := differs(c.what, got, c.want); err != nil {
			return err
		}
	}
	return nil
}

func checkNamespaces(w *runtimeWorld) error {
	running, err := w.run("sleep")
	if err != nil {
		return err
	}
	pod := running.GetSandboxId()
	other, err := w.programIn(pod, nil, "namespaces")
	if err != nil {
		return err
	}
	got := strings.Fields(other)
	for i, kind := range []string{"net", "ipc", "uts"} {
		link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", running.GetPid(), kind))
		if err != nil {
			return fmt.Errorf("pid is not that of the container's process: %w", err)
		}
		if err := differs("the second container's "+kind+" namespace", got[i], link); err != nil {
			return err
		}
		if own, _ := os.Readlink("/proc/self/ns/" + kind); own == link {
			return fmt.Errorf("the %s namespace is the node's", kind)
		}
	}
	if _, err := w.programIn(pod, nil, "shm-write", "file", "content"); err != nil {
		return err
	}
	for _, c := range []struct {
		what, want string
		args       []string
	}{
		{"hostname", "conformance\n", []string{"hostname"}},
		{"HOSTNAME", "conformance\n", []string{"env", "HOSTNAME"}},
		{"loopback", "connected\n", []string{"listen-local"}},
		{"/dev/shm", "content", []string{"shm-read", "file"}},
	} {
		got, err := w.programIn(pod, nil, c.args...)
		if err != nil {
			return fmt.Errorf("%s: %w", c.what, err)
		}
		if err := differs(c.what, got, c.want); err != nil {
			return err
		}
	}
	return nil
}

func checkUser(w *runtimeWorld) error {
	uid, gid := int64(99), int64(98)
	for _, c := range []struct {
		what     string
		security *runtime.LinuxSecurity
		want     []string
	}{
		{"nobody asked for", nil, []string{"uid 0", "gid 0"}},
		{"by name", &runtime.LinuxSecurity{RunAsUsername: "probe", SupplementalGroups: []int64{5000}}, []string{"uid 1234", "gid 4321", "77", "5000"}},
		{"by number", &runtime.LinuxSecurity{RunAsUser: &uid, RunAsGroup: &gid, NoNewPrivileges: true}, []string{"uid 99", "gid 98", "NoNewPrivs 1"}},
	} {
		got, err := w.program(func(r *runtime.CreateContainerRequest) { r.Security = c.security }, "id")
		if err != nil {
			return fmt.Errorf("%s: %w", c.what, err)
		}
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				return fmt.Errorf("user %s: %q lacks %q", c.what, got, want)
			}
		}
	}
	return nil
}

func checkMount(w *runtimeWorld) error {
	mounted := func(readOnly bool) func(*runtime.CreateContainerRequest) {
		return func(r *runtime.CreateContainerRequest) {
			r.Mounts = []*runtime.Mount{{HostPath: w.dir, ContainerPath: "/new/volume", ReadOnly: readOnly}}
		}
	}
	if _, err := w.program(mounted(false), "write", "/new/volume/file", "content"); err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(w.dir, "file"))
	if err != nil {
		return err
	}
	if err := differs("the file", string(data), "content"); err != nil {
		return err
	}
	if _, err := w.program(mounted(true), "write", "/new/volume/file", "other"); err == nil {
		return fmt.Errorf("a read-only mount was written")
	}
	return nil
}

func checkStopSignal(w *runtimeWorld) error {
	s, err := w.sandbox()
	if err != nil {
		return err
	}
	for _, c := range []struct {
		what, signal, prints string
		args                 []string
		grace                time.Duration
		want                 int32
	}{
		{"the image's stop signal", "", "ready", []string{"until-signal", "SIGUSR1", "7"}, time.Minute, 7},
		{"the stop signal of the request", "SIGUSR2", "ready", []string{"until-signal", "SIGUSR2", "8"}, time.Minute, 8},
		{"a signal that is not heeded", "SIGTERM", "ready", []string{"sleep"}, 100 * time.Millisecond, 137},
	} {
		req := w.containerRequest(s.GetId(), c.args...)
		req.StopSignal = c.signal
		running, err := w.createIn(req)
		if err != nil {
			return err
		}
		if err := w.start(running); err != nil {
			return err
		}
		if err := w.untilLogged(running, c.prints); err != nil {
			return err
		}
		if _, err := w.client.StopContainer(w, &runtime.StopContainerRequest{ContainerId: running.GetId(), GracePeriod: durationpb.New(c.grace)}); err != nil {
			return err
		}
		ended, err := w.get(running.GetId())
		if err != nil {
			return err
		}
		if ended.GetState() != pluginv1.Container_STATE_EXITED || ended.GetExitCode() != c.want {
			return fmt.Errorf("%s: %v", c.what, ended)
		}
	}
	return nil
}

func (w *runtimeWorld) untilLogged(c *runtime.Container, text string) error {
	for {
		got, err := readLog(c.GetLogPath(), "stdout")
		if err == nil && strings.Contains(got, text) {
			return nil
		}
		if err := w.pause(); err != nil {
			return fmt.Errorf("%q is not in the log: %w", text, err)
		}
	}
}

func checkOOM(w *runtimeWorld) error {
	s, err := w.sandbox()
	if err != nil {
		return err
	}
	req := w.containerRequest(s.GetId(), "allocate", "256")
	req.Resources = &runtime.LinuxResources{MemoryLimitBytes: 32 << 20}
	c, err := w.createIn(req)
	if err != nil {
		return err
	}
	if err := w.start(c); err != nil {
		return err
	}
	if c, err = w.ended(c.GetId()); err != nil {
		return err
	}
	return differs("the reason", c.GetReason(), runtime.ReasonOOMKilled)
}

func checkLog(w *runtimeWorld) error {
	s, err := w.sandbox()
	if err != nil {
		return err
	}
	stdout, stderr, err := w.output(w.containerRequest(s.GetId(), "print", "to stdout", "to stderr"))
	if err != nil {
		return err
	}
	if err := differs("stdout", stdout, "to stdout\n"); err != nil {
		return err
	}
	if err := differs("stderr", stderr, "to stderr\n"); err != nil {
		return err
	}
	// Longer than a line of a log may be, and many.
	long, _, err := w.output(w.containerRequest(s.GetId(), "lines", "50", "100000"))
	if err != nil {
		return err
	}
	return checkLines(long, 50)
}

// checkLines checks the output of the probe's "lines".
func checkLines(got string, n int) error {
	i := 0
	for line := range strings.Lines(got) {
		if !strings.HasPrefix(line, fmt.Sprintf("%d ", i)) && line != fmt.Sprintf("%d\n", i) {
			return fmt.Errorf("line %d is %.40q", i, line)
		}
		i++
	}
	if i != n {
		return fmt.Errorf("%d lines of %d", i, n)
	}
	return nil
}

func checkReopen(w *runtimeWorld) error {
	c, err := w.run("lines-slowly", "40", "25")
	if err != nil {
		return err
	}
	if err := w.untilLogged(c, "0\n"); err != nil {
		return err
	}
	old := c.GetLogPath() + ".old"
	if err := os.Rename(c.GetLogPath(), old); err != nil {
		return err
	}
	if _, err := w.client.ReopenLog(w, &runtime.ReopenLogRequest{ContainerId: c.GetId()}); err != nil {
		return err
	}
	if _, err := w.ended(c.GetId()); err != nil {
		return err
	}
	first, err := readLog(old, "stdout")
	if err != nil {
		return err
	}
	second, err := readLog(c.GetLogPath(), "stdout")
	if err != nil {
		return err
	}
	if second == "" {
		return fmt.Errorf("nothing is in the new file")
	}
	return checkLines(first+second, 40)
}

func checkRestartRunning(w *runtimeWorld) error {
	before, err := w.run("sleep")
	if err != nil {
		return err
	}
	if err := w.target.Crash(w); err != nil {
		return err
	}
	if err := w.open(); err != nil {
		return err
	}
	after, err := w.get(before.GetId())
	if err != nil {
		return err
	}
	if !proto.Equal(before, after) {
		return fmt.Errorf("it was %v and is %v", before, after)
	}
	if _, err := w.client.StopContainer(w, &runtime.StopContainerRequest{ContainerId: before.GetId()}); err != nil {
		return err
	}
	after, err = w.get(before.GetId())
	if err == nil && after.GetState() != pluginv1.Container_STATE_EXITED {
		err = fmt.Errorf("after StopContainer it is %v", after)
	}
	return err
}

func checkRestartEnded(w *runtimeWorld) error {
	c, err := w.run("lines-slowly", "20", "10")
	if err != nil {
		return err
	}
	if err := w.target.Crash(w); err != nil {
		return err
	}
	for err == nil {
		if pauseErr := w.pause(); pauseErr != nil {
			return pauseErr
		}
		_, err = os.Stat(fmt.Sprintf("/proc/%d", c.GetPid()))
	}
	if err := w.open(); err != nil {
		return err
	}
	if c, err = w.ended(c.GetId()); err != nil {
		return err
	}
	if c.GetExitCode() != 0 || c.GetReason() != runtime.ReasonCompleted || c.GetFinishedAt().AsTime().Before(c.GetStartedAt().AsTime()) {
		return fmt.Errorf("it is %v", c)
	}
	got, err := readLog(c.GetLogPath(), "stdout")
	if err != nil {
		return err
	}
	return checkLines(got, 20)
}
