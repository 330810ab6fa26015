package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/plugin"
)

const (
	// startTimeout bounds a start.
	startTimeout = 30 * time.Second
	// maxStderr is how much of a process's log is kept for a failure's text.
	maxStderr = 16 << 10
)

// Process is one running process of the plugin under test.
type Process struct {
	cmd       *exec.Cmd
	client    *goplugin.Client
	conn      *grpc.ClientConn
	stderr    *tail
	socketDir string
	hostPipe  *os.File
	exited    chan struct{}
	patience  time.Duration // for an exit that was asked for
	mutualTLS bool
}

// launch starts an executable as a host does and connects to it. It does not
// configure it.
func launch(ctx context.Context, opts Options, dir string) (_ *Process, err error) {
	socketDir, err := os.MkdirTemp(dir, "s")
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()

	config := plugin.ClientConfig()
	config.Logger = hclog.NewNullLogger()
	config.StartTimeout = startTimeout
	p := &Process{
		stderr:    &tail{also: opts.Log},
		socketDir: socketDir,
		hostPipe:  w,
		exited:    make(chan struct{}),
		patience:  opts.ExitTimeout,
		cmd: &exec.Cmd{
			Path: opts.Executable,
			Args: []string{opts.Executable},
			Env: append(append(os.Environ(), opts.Env...),
				goplugin.EnvUnixSocketDir+"="+socketDir,
				plugin.EnvHostFD+"=3",
			),
			ExtraFiles:  []*os.File{r},
			SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
		},
	}
	config.Cmd = p.cmd
	config.Stderr = p.stderr
	p.client = goplugin.NewClient(config)
	giveUp := context.AfterFunc(ctx, func() { _ = w.Close() })
	defer giveUp()
	p.conn, p.mutualTLS, err = plugin.Connect(p.client, config)
	if p.cmd.Process != nil {
		go p.watch()
	} else {
		close(p.exited)
	}
	if err != nil {
		p.Kill()
		return nil, fmt.Errorf("start %s: %w%s", opts.Executable, err, p.stderr.quote())
	}
	return p, nil
}

// watch closes exited when the process is gone.
func (p *Process) watch() {
	for !p.client.Exited() {
		time.Sleep(5 * time.Millisecond)
	}
	close(p.exited)
}

// Conn returns the connection.
func (p *Process) Conn() grpc.ClientConnInterface { return p.conn }

// Plugin returns a client of the service that every plugin serves.
func (p *Process) Plugin() pluginv1.PluginClient { return pluginv1.NewPluginClient(p.conn) }

// PID returns the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed when the process is gone.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Kill kills the process and its group, as kill -9 does.
func (p *Process) Kill() {
	if p.cmd.Process != nil {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
	_ = p.hostPipe.Close()
	if p.conn != nil {
		_ = p.conn.Close()
	}
	p.client.Kill()
	_ = os.RemoveAll(p.socketDir)
}

// Stop ends the process as a host does that wants it to end.
func (p *Process) Stop() error {
	defer p.Kill()
	_ = p.hostPipe.Close()
	select {
	case <-p.exited:
		return nil
	case <-time.After(p.patience):
		return fmt.Errorf("the process still runs %s after its host went away", p.patience)
	}
}

// socket returns the path of the process's socket.
func (p *Process) socket() (string, error) {
	entries, err := os.ReadDir(p.socketDir)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if e.Type()&os.ModeSocket != 0 {
			return filepath.Join(p.socketDir, e.Name()), nil
		}
	}
	return "", errs.NotFound("no socket in PLUGIN_UNIX_SOCKET_DIR")
}

// writeRaw connects to the socket past gRPC and writes.
func (p *Process) writeRaw(ctx context.Context, data []byte) error {
	path, err := p.socket()
	if err != nil {
		return err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	// The peer may hang up in the middle, which is as good as reading it.
	_, err = conn.Write(data)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	return err
}

// tail keeps the end of a process's standard error.
type tail struct {
	also interface{ Write([]byte) (int, error) }

	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - maxStderr; over > 0 {
		t.text = bytes.Clone(t.text[over:])
	}
	if t.also != nil {
		return t.also.Write(p)
	}
	return len(p), nil
}

func (t *tail) quote() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimSpace(string(t.text))
	if text == "" {
		return ""
	}
	return "\nits standard error:\n" + text
}

// sendAnything lifts the client's own limit, to try the plugin's.
var sendAnything = grpc.MaxCallSendMsgSize(1 << 30)
