package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// envMode makes the test binary play a plugin, or a host, instead of running
// tests.
const envMode = "HOST_TEST_MODE"

func TestMain(m *testing.M) {
	if mode := os.Getenv(envMode); mode != "" {
		play(mode)
		os.Exit(0)
	}
	// Processes under the race detector linger for a second when they exit.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// play is what the child processes of the tests do.
func play(mode string) {
	mode, argument, _ := strings.Cut(mode, ":")
	switch mode {
	case "host":
		playHost(argument)
	case "exit":
		fmt.Fprintln(os.Stderr, "can't find my trousers")
		os.Exit(3)
	case "panic":
		panic("the author forgot a nil check")
	case "garbage":
		fmt.Println("Hello, I am a chatty program")
		time.Sleep(time.Hour)
	case "binary":
		_, _ = os.Stdout.Write(bytes.Repeat([]byte{0, 1, 0xff}, 64<<10))
		time.Sleep(time.Hour)
	case "silent":
		time.Sleep(time.Hour)
	case "line":
		fmt.Println(argument)
		time.Sleep(time.Hour)
	case "stubborn":
		// Ignores the pipe and every signal that can be ignored.
		signalsIgnored()
		serve("stubborn")
	case "plain":
		_ = os.Unsetenv("PLUGIN_CLIENT_CERT")
		serve(mode)
	default:
		serve(mode)
	}
}

func serve(mode string) {
	i := &implementation{mode: mode}
	plugin.Serve(plugin.Info{Name: "test", Version: "1.2.3"}, i)
}

// implementation is a plugin of type volume whose behaviour the mode decides.
type implementation struct {
	mode string
	once sync.Once
}

func (i *implementation) Type() pluginv1.PluginType             { return pluginv1.PluginType_PLUGIN_TYPE_VOLUME }
func (i *implementation) Register(grpc.ServiceRegistrar)        {}
func (i *implementation) Implementation() any                   { return i }
func (i *implementation) Describe(d *pluginv1.DescribeResponse) { d.Capabilities = []string{"test"} }

func (i *implementation) Configure(_ context.Context, req *plugin.ConfigureRequest) error {
	config := struct {
		Greeting string `json:"greeting"`
	}{}
	if err := plugin.DecodeConfig(req, &config); err != nil {
		return err
	}
	switch i.mode {
	case "configure-exit":
		fmt.Fprintln(os.Stderr, "no such device")
		os.Exit(7)
	case "configure-hang":
		time.Sleep(time.Hour)
	case "precondition":
		return errs.FailedPrecondition("there is no containerd").WithHint("apt-get install containerd")
	case "child":
		// A child in the same group, that outlives its parent if it is let.
		child := exec.Command("/bin/sleep", "1000")
		if err := child.Start(); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "child %d\n", child.Process.Pid)
	case "flood":
		go func() {
			line := []byte(strings.Repeat("x", 100) + "\n")
			for {
				_, _ = os.Stderr.Write(line)
			}
		}()
	case "flood-real":
		go func() {
			for n := 0; ; n++ {
				slog.Info("flood", "n", n)
			}
		}()
	case "log":
		slog.Warn("be careful", "depth", 3)
		fmt.Println("printed")
		fmt.Fprintln(os.Stderr, "complained")
	}
	return nil
}

func (i *implementation) Health(context.Context) error {
	if dir, ok := strings.CutPrefix(os.Getenv("HOST_TEST_SWITCH"), "dir="); ok {
		switch text, _ := os.ReadFile(dir + "/health"); string(text) {
		case "hang":
			time.Sleep(time.Hour)
		case "exit":
			os.Exit(9)
		case "":
		default:
			return errors.New(string(text))
		}
	}
	if i.mode == "unhealthy" {
		return errors.New("the disk is on fire")
	}
	return nil
}

func (i *implementation) Close() error {
	if i.mode == "close-hang" || i.mode == "stubborn" {
		time.Sleep(time.Hour)
	}
	if path := os.Getenv("HOST_TEST_CLOSED"); path != "" {
		return os.WriteFile(path, []byte("closed"), 0o600)
	}
	return nil
}

// logBuffer is a log that tests read.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// shortDir returns a directory whose path fits maxRunDir.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ph")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// newHost returns a host with short timeouts, and its log. At the end it is
// closed and must have left nothing behind.
func newHost(t *testing.T, change func(*Options)) (*Host, *logBuffer) {
	t.Helper()
	log := &logBuffer{}
	opts := Options{
		RunDir:           shortDir(t) + "/run",
		Logger:           log.logger(),
		HandshakeTimeout: 20 * time.Second,
		ConfigureTimeout: 20 * time.Second,
		StopTimeout:      20 * time.Second,
		Backoff:          Backoff{Initial: 10 * time.Millisecond, Max: 50 * time.Millisecond},
	}
	if change != nil {
		change(&opts)
	}
	h, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Errorf("close the host: %v", err)
		}
		entries, err := os.ReadDir(opts.RunDir)
		if err != nil {
			t.Error(err)
		}
		for _, e := range entries {
			if e.Name() != lockName {
				t.Errorf("the host left %s in its run directory", e.Name())
			}
		}
		if t.Failed() {
			text := log.String()
			t.Logf("log of the host:\n%s", text[:min(len(text), 8<<10)])
		}
	})
	return h, log
}

// spec returns the specification of a test plugin.
func spec(t *testing.T, mode string, env ...string) Spec {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Spec{
		Type:       pluginv1.PluginType_PLUGIN_TYPE_VOLUME,
		Name:       "test",
		Executable: self,
		Env:        append(env, envMode+"="+mode),
	}
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// alive reports whether a process exists that is no zombie.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

var _ io.Closer = (*implementation)(nil)
