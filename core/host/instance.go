package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// Reasons of errors after the handshake.
const (
	ReasonWrongType      = "WrongType"
	ReasonWrongName      = "WrongName"
	ReasonConfigRejected = "ConfigRejected"
	ReasonUnhealthy      = "Unhealthy"
	ReasonNoAnswer       = "NoAnswer"
)

// Instance is one running process of a plugin that passed its checks.
type Instance struct {
	host    *Host
	spec    Spec
	process *process
	sink    *logSink
	client  *goplugin.Client

	conn        *instanceConn
	contract    int
	mutualTLS   bool
	description *pluginv1.DescribeResponse
	started     time.Time

	stopping atomic.Bool
	reason   atomic.Pointer[error] // why the host ended it, if it did

	done    chan struct{} // closed when the process is gone
	err     error         // why; valid after done
	cleaned chan struct{} // closed when nothing of it is left in the host
	cleanup sync.Once
}

// Start starts a plugin and checks it: checksum, handshake, type and name,
// configuration, health. On error nothing is left running. ctx bounds the start
// and not the life of the instance.
func (h *Host) Start(ctx context.Context, spec Spec) (*Instance, error) {
	begin := time.Now()
	kind := plugin.TypeName(spec.Type)
	i, err := h.start(ctx, spec)
	if err != nil {
		h.metrics.starts.WithLabelValues(kind, spec.Name, "failed").Inc()
		return nil, fmt.Errorf("start plugin %s: %w", spec.ID(), err)
	}
	h.metrics.starts.WithLabelValues(kind, spec.Name, "ok").Inc()
	h.metrics.startSeconds.WithLabelValues(kind, spec.Name).Observe(time.Since(begin).Seconds())
	return i, nil
}

func (h *Host) start(ctx context.Context, spec Spec) (_ *Instance, err error) {
	if err := plugin.CheckName(spec.Name); err != nil {
		return nil, errs.New(errs.ClassInvalidArgument, ReasonWrongName, "", err)
	}
	exe, err := openExecutable(spec.Executable, spec.SHA256)
	if err != nil {
		return nil, err
	}
	defer exe.file.Close()
	rec, err := newRecord(h.opts.RunDir, spec.ID())
	if err != nil {
		return nil, err
	}

	i := &Instance{
		host:    h,
		spec:    spec,
		started: h.opts.Clock.Now(),
		done:    make(chan struct{}),
		cleaned: make(chan struct{}),
		process: &process{
			spawner: h.spawner,
			exe:     exe,
			record:  rec,
			env:     append(append(inheritedEnv(), envInstance+"="+rec.ID, plugin.EnvLogLevel+"="+h.logLevel()), spec.Env...),
			grace:   h.opts.StopTimeout,
			exited:  make(chan struct{}),
		},
	}
	i.sink = newLogSink(h.log.With("plugin", spec.ID()), h.opts.Logs, func(n int) {
		h.metrics.linesDropped.WithLabelValues(plugin.TypeName(spec.Type), spec.Name).Add(float64(n))
	})
	if err := h.add(i); err != nil {
		rec.remove()
		return nil, err
	}
	// The start is given up with ctx, and ended when it fails.
	giveUp := context.AfterFunc(ctx, func() { i.end(context.Cause(ctx)) })
	defer giveUp()
	defer func() {
		if err != nil {
			if ctx.Err() != nil {
				err = errs.New(errs.ClassOf(ctx.Err()), "", "", fmt.Errorf("given up: %w", err))
			}
			i.discard()
		}
	}()
	if err := i.connect(); err != nil {
		return nil, err
	}
	if err := i.check(ctx); err != nil {
		return nil, err
	}
	return i, nil
}

// inheritedEnv is what a plugin gets of the host's environment: where programs
// and certificates are, how to get out, language and time zone, and what steers
// the Go runtime.
func inheritedEnv() []string {
	var env []string
	for _, key := range []string{
		"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ",
		"SSL_CERT_FILE", "SSL_CERT_DIR",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
		"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK", "GORACE", "GOCOVERDIR",
	} {
		if value, ok := os.LookupEnv(key); ok {
			env = append(env, key+"="+value)
		}
	}
	if _, ok := os.LookupEnv("PATH"); !ok {
		env = append(env, "PATH="+defaultPath)
	}
	return env
}

// defaultPath is where plugins find programs when the host was started without
// a PATH: login(1)'s for root.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// connect starts the process and does the handshake.
func (i *Instance) connect() error {
	opts := i.host.opts
	config := plugin.ClientConfig()
	config.Logger = hclog.NewNullLogger()
	config.StartTimeout = opts.HandshakeTimeout
	config.UnixSocketConfig = &goplugin.UnixSocketConfig{TempDir: opts.RunDir}
	config.SyncStdout = &lineWriter{stream: "stdout", sink: i.sink}
	config.SyncStderr = &lineWriter{stream: "stderr", sink: i.sink}
	var socketDir string
	config.RunnerFunc = func(_ hclog.Logger, cmd *exec.Cmd, dir string) (runner.Runner, error) {
		socketDir = dir
		return &runnerOf{process: i.process, goPluginEnv: cmd.Env, sink: i.sink}, nil
	}
	i.client = goplugin.NewClient(config)
	// go-plugin bounds the wait for the handshake line, not the one for a
	// plugin that prints it and then does not serve.
	overdue := time.AfterFunc(opts.HandshakeTimeout+drainTime, func() {
		i.process.killed.Store(true)
		i.process.killIfStarted()
	})
	defer overdue.Stop()
	conn, mutualTLS, err := plugin.Connect(i.client, config)
	if i.process.pid != 0 {
		go i.watch(socketDir)
	}
	if err != nil {
		if i.process.pid == 0 {
			_ = os.RemoveAll(socketDir)
			return err
		}
		return handshakeError(i.process, i.sink, supportedVersions(config), opts.HandshakeTimeout, err)
	}
	i.conn = &instanceConn{ClientConn: conn, instance: i}
	i.contract = i.client.NegotiatedVersion()
	i.mutualTLS = mutualTLS

	// The first call makes the connection; afterwards nobody needs the name of
	// the socket.
	ctx, cancel := context.WithTimeout(context.Background(), opts.HandshakeTimeout)
	defer cancel()
	i.description, err = pluginv1.NewPluginClient(i.conn).Describe(ctx, &pluginv1.DescribeRequest{}, grpc.WaitForReady(true))
	_ = os.RemoveAll(socketDir)
	if err != nil {
		return i.noAnswer("Describe", err)
	}
	return nil
}

// noAnswer explains an error of a call that every plugin must answer.
func (i *Instance) noAnswer(call string, err error) error {
	switch errs.ClassOf(err) {
	case errs.ClassDeadlineExceeded:
		return errs.New(errs.ClassDeadlineExceeded, ReasonNoAnswer, "", fmt.Errorf("it does not answer %s in time%s", call, lastWords(i.sink)))
	case errs.ClassPluginGone:
		// The broken connection is noticed before the process can be waited
		// for.
		select {
		case <-i.done:
			return errs.New(errs.ClassPluginGone, ReasonExited, "", fmt.Errorf("%s: %w", call, i.err))
		case <-time.After(2 * drainTime):
		}
	}
	return fmt.Errorf("%s: %w", call, err)
}

// check makes sure that the plugin is the one that was asked for, configures
// it and waits until it is healthy.
func (i *Instance) check(ctx context.Context) error {
	d := i.description
	if d.GetType() != i.spec.Type {
		return errs.FailedPrecondition("%s is a plugin of type %s, not %s", i.spec.Executable, plugin.TypeName(d.GetType()), plugin.TypeName(i.spec.Type)).
			WithReason(ReasonWrongType).WithHint("correct the executable or spec.type")
	}
	if d.GetName() != i.spec.Name {
		return errs.FailedPrecondition("%s calls itself %q, not %q", i.spec.Executable, d.GetName(), i.spec.Name).
			WithReason(ReasonWrongName).WithHint("correct the executable or spec.name")
	}
	ctx, cancel := context.WithTimeout(ctx, i.host.opts.ConfigureTimeout)
	defer cancel()
	client := pluginv1.NewPluginClient(i.conn)
	_, err := client.Configure(ctx, &pluginv1.ConfigureRequest{
		Config: i.spec.Config, Node: i.spec.Node, SchedulerName: i.spec.SchedulerName,
	})
	switch errs.ClassOf(err) {
	case errs.ClassNone:
	case errs.ClassInvalidArgument:
		return errs.New(errs.ClassInvalidArgument, ReasonConfigRejected, errs.Hint(err), fmt.Errorf("it rejects its configuration: %w", err))
	case errs.ClassFailedPrecondition:
		return fmt.Errorf("it can't work on this machine: %w", err)
	default:
		return i.noAnswer("Configure", err)
	}
	return i.becomeHealthy(ctx)
}

// firstHealth is the pause between the health checks of a start.
const firstHealth = 100 * time.Millisecond

func (i *Instance) becomeHealthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, i.host.opts.HealthTimeout)
	defer cancel()
	var message string
	for {
		healthy, said, err := i.Health(ctx)
		switch {
		case err == nil && healthy:
			return nil
		case err == nil:
			message = said
		case message == "":
			return i.noAnswer("Health", err)
		}
		select {
		case <-time.After(firstHealth):
		case <-ctx.Done():
			return errs.New(errs.ClassUnavailable, ReasonUnhealthy, "", fmt.Errorf("it started but says that it is unhealthy: %s", message))
		}
	}
}

// Health asks the plugin whether it can do its work. An error means that it did
// not answer within the host's HealthTimeout.
func (i *Instance) Health(ctx context.Context) (healthy bool, message string, err error) {
	ctx, cancel := context.WithTimeout(ctx, i.host.opts.HealthTimeout)
	defer cancel()
	resp, err := pluginv1.NewPluginClient(i.conn).Health(ctx, &pluginv1.HealthRequest{})
	if err != nil {
		return false, "", err
	}
	return resp.GetHealthy(), resp.GetMessage(), nil
}

// watch waits for the end of the process and clears away what belonged to it.
func (i *Instance) watch(socketDir string) {
	<-i.process.exited
	i.process.awaitLastWords()
	switch why := i.reason.Load(); {
	case why != nil:
		i.err = *why
	case i.stopping.Load():
		i.err = errStopped
	default:
		i.err = fmt.Errorf("it ended by itself: %w%s", i.process.exitErr, lastWords(i.sink))
	}
	close(i.done)
	// Ends go-plugin's goroutines. It only returns once the process's output
	// is at its end, which the reaper sees to.
	i.client.Kill()
	_ = os.RemoveAll(socketDir)
	i.forget()
}

// errStopped is why an instance ended that was asked to.
var errStopped = errors.New("it was stopped")

// forget takes the instance out of the host's books.
func (i *Instance) forget() {
	i.cleanup.Do(func() {
		i.host.remove(i)
		close(i.cleaned)
	})
}

// discard kills an instance whose start failed, and waits until it is gone.
func (i *Instance) discard() {
	if i.process.pid == 0 {
		i.process.record.remove()
		i.forget()
		return
	}
	i.end(nil)
	<-i.cleaned
}

// end kills the process because of why.
func (i *Instance) end(why error) {
	i.stopping.Store(true)
	if why != nil {
		i.reason.CompareAndSwap(nil, &why)
	}
	i.process.killIfStarted()
}

// ending reports whether the host is ending the instance.
func (i *Instance) ending() bool { return i.stopping.Load() }

// Stop asks the plugin to end, kills it after the host's StopTimeout or when
// ctx ends, and returns when it is gone. Calls under way fail with
// errs.ClassPluginGone. Stopping twice is fine.
func (i *Instance) Stop(ctx context.Context) error {
	i.stopping.Store(true)
	if !i.process.stop(ctx) {
		i.host.log.Warn("the plugin did not stop when it was asked to, and was killed", "plugin", i.spec.ID(), "pid", i.PID())
	}
	<-i.cleaned
	return nil
}

// Spec returns what the instance was started with.
func (i *Instance) Spec() Spec { return i.spec }

// Conn returns the connection to the plugin. Calls on it fail with
// errs.ClassPluginGone once the process is gone.
func (i *Instance) Conn() grpc.ClientConnInterface { return i.conn }

// Description returns what the plugin says of itself. It must not be changed.
func (i *Instance) Description() *pluginv1.DescribeResponse { return i.description }

// Contract returns the major version of the contract that was agreed on.
func (i *Instance) Contract() int { return i.contract }

// MutualTLS reports whether the connection is under mutual TLS.
func (i *Instance) MutualTLS() bool { return i.mutualTLS }

// SHA256 returns the checksum of the executable that runs, in hexadecimal.
func (i *Instance) SHA256() string { return i.process.exe.sha256 }

// PID returns the number of the process.
func (i *Instance) PID() int { return i.process.pid }

// Started returns when the process was started.
func (i *Instance) Started() time.Time { return i.started }

// Done is closed when the process is gone.
func (i *Instance) Done() <-chan struct{} { return i.done }

// Err returns why the process is gone, nil while it is not.
func (i *Instance) Err() error {
	select {
	case <-i.done:
		return i.err
	default:
		return nil
	}
}
