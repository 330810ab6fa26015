package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/sdk/plugin"
)

// drainTime is how long the output of a process that ended is still read. A
// descendant in a session of its own may hold the pipes open for ever.
const drainTime = time.Second

// process is a plugin's process, as the runner.Runner of go-plugin and as what
// the host itself watches.
type process struct {
	spawner *spawner
	exe     *executable
	record  *record
	env     []string
	grace   time.Duration

	mu     sync.Mutex
	doomed bool // must not start any more
	cmd    *exec.Cmd
	pid    int // 0 until it started; written once, by the goroutine that starts
	stdout *stdoutReader
	stderr *stderrReader

	// hostPipe is the end of the pipe that the plugin watches; it is closed to
	// tell it that the host is gone.
	hostPipe *os.File
	pipeOnce sync.Once

	killed  atomic.Bool   // go-plugin gave up on it before it ended by itself
	exited  chan struct{} // closed once the process is reaped and its group killed
	exitErr error         // how it ended; valid after exited
	outputs [2]*os.File   // reading ends of stdout and stderr
}

// start starts the process. env is what go-plugin wants in the environment.
func (p *process) start(env []string, sink *logSink) (err error) {
	var opened []*os.File
	defer func() {
		for _, f := range opened {
			_ = f.Close()
		}
	}()
	pipe := func() (r, w *os.File) {
		if err != nil {
			return nil, nil
		}
		r, w, err = os.Pipe()
		return r, w
	}
	hostR, hostW := pipe()
	outR, outW := pipe()
	errR, errW := pipe()
	for _, f := range []*os.File{hostR, outW, errW} {
		if f != nil {
			opened = append(opened, f)
		}
	}
	keep := []*os.File{hostW, outR, errR}
	defer func() {
		if p.pid == 0 {
			for _, f := range keep {
				if f != nil {
					_ = f.Close()
				}
			}
		}
	}()
	if err != nil {
		return fmt.Errorf("make pipes: %w", err)
	}

	const firstExtra = 3 // descriptors after stdin, stdout and stderr
	p.cmd = &exec.Cmd{
		Path:       "/proc/self/fd/" + strconv.Itoa(firstExtra+1),
		Args:       []string{p.exe.path},
		Env:        append(append(env, p.env...), plugin.EnvExecutable+"="+p.exe.path, plugin.EnvHostFD+"="+strconv.Itoa(firstExtra)),
		Dir:        "/",
		Stdout:     outW,
		Stderr:     errW,
		ExtraFiles: []*os.File{hostR, p.exe.file},
		SysProcAttr: &unix.SysProcAttr{
			Setpgid:   true,
			Pdeathsig: unix.SIGKILL,
		},
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.doomed {
		return errStopped
	}
	if err := p.spawner.start(p.cmd); err != nil {
		return execError(p.exe, err)
	}
	p.pid = p.cmd.Process.Pid
	p.hostPipe = hostW
	p.outputs = [2]*os.File{outR, errR}
	p.stdout = newStdoutReader(outR, sink)
	p.stderr = newStderrReader(errR, sink)
	go p.reap()
	return p.exe.unchanged()
}

// reap waits for the process, kills what is left of its group, and reaps it.
// The order matters: until the leader is reaped, the kernel gives its number to
// no other process, so the group is certainly the plugin's.
func (p *process) reap() {
	for {
		err := unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	_ = unix.Kill(-p.pid, unix.SIGKILL)
	err := p.cmd.Wait()
	if err == nil {
		err = errors.New("exit status 0")
	}
	p.exitErr = err
	p.closeHostPipe()
	p.record.remove()
	// Readers see the end of file by themselves unless a descendant left the
	// group and kept the pipes.
	time.AfterFunc(drainTime, func() {
		for _, f := range p.outputs {
			_ = f.Close()
		}
	})
	close(p.exited)
}

func (p *process) closeHostPipe() {
	p.pipeOnce.Do(func() { _ = p.hostPipe.Close() })
}

// signal sends a signal to the process while it is not reaped.
func (p *process) signal(sig unix.Signal) {
	_ = p.cmd.Process.Signal(sig)
}

// kill kills the process. The reaper kills its group.
func (p *process) kill() { p.signal(unix.SIGKILL) }

// killIfStarted kills the process, or keeps it from starting.
func (p *process) killIfStarted() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doomed = true
	if p.pid != 0 {
		p.kill()
	}
}

// stop asks the process to end, kills it after the grace period or when ctx
// ends, and waits until it is gone. It reports whether the process obeyed.
func (p *process) stop(ctx context.Context) (obeyed bool) {
	p.closeHostPipe()
	p.signal(unix.SIGTERM)
	timer := time.NewTimer(p.grace)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	p.kill()
	<-p.exited
	return false
}

// runnerOf adapts a process to go-plugin, which starts it.
type runnerOf struct {
	*process
	goPluginEnv []string
	sink        *logSink
}

func (r *runnerOf) Start(context.Context) error     { return r.start(r.goPluginEnv, r.sink) }
func (r *runnerOf) Diagnose(context.Context) string { return "" }
func (r *runnerOf) Stdout() io.ReadCloser           { return r.stdout }
func (r *runnerOf) Stderr() io.ReadCloser           { return r.stderr }
func (r *runnerOf) Name() string                    { return r.exe.path }

func (r *runnerOf) Wait(ctx context.Context) error {
	select {
	case <-r.exited:
		return r.exitErr
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *runnerOf) Kill(context.Context) error {
	if r.pid == 0 {
		return nil
	}
	// A process that ends closes its output a moment before it can be waited
	// for, and its own exit status says more than ours.
	if r.stdout.ended() {
		select {
		case <-r.exited:
		case <-time.After(drainTime):
		}
	}
	if !r.hasExited() {
		r.killed.Store(true)
		r.kill()
		<-r.exited
	}
	return nil
}

func (r *runnerOf) ID() string {
	if r.pid == 0 {
		return ""
	}
	return strconv.Itoa(r.pid)
}

func (r *runnerOf) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

func (r *runnerOf) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// hasExited reports whether the process is gone.
func (p *process) hasExited() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// awaitLastWords waits until all that a process which is gone wrote has been
// read, at most for drainTime.
func (p *process) awaitLastWords() {
	select {
	case <-p.stderr.end:
	case <-time.After(drainTime):
	}
}
