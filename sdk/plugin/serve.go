package plugin

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// Serve serves the contract until the host is gone or asks to stop, and then
// exits the process. It does not return.
//
// Started by hand the executable says what it is and exits with 1; with
// --describe it prints its description as JSON.
func Serve(info Info, c Contract) {
	if err := CheckName(info.Name); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if os.Getenv(cookieKey) != cookieValue {
		os.Exit(byHand(info, c, os.Args[1:], os.Stdout, os.Stderr))
	}

	// go-plugin replaces os.Stdout and os.Stderr with pipes whose content
	// travels over the connection, so the last words of a process that crashes
	// get lost. The first call that the host makes puts the real ones back,
	// which the host reads to their end.
	stdout, stderr := os.Stdout, os.Stderr
	slog.SetDefault(slog.New(newLogHandler(stderr, logLevel())))
	nameProcess(info, c)

	svc := newService(info, c)
	svc.first = func() { os.Stdout, os.Stderr = stdout, stderr }
	s := &session{service: svc}
	s.watchHost()

	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: Handshake(),
		VersionedPlugins: pluginSets(func(server *grpc.Server) {
			pluginv1.RegisterPluginServer(server, svc)
			c.Register(server)
		}),
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return s.adopt(grpc.NewServer(append(opts, serverOptions(svc)...)...))
		},
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: stderr, JSONFormat: true}),
	})
	s.end("the host asked to stop")
}

// byHand answers a person who ran the executable, and returns the exit code.
func byHand(info Info, c Contract, args []string, stdout, stderr io.Writer) int {
	if len(args) == 1 && args[0] == "--describe" {
		text, err := protojson.MarshalOptions{Multiline: true}.Marshal(describe(info, c))
		if err != nil {
			fmt.Fprintf(stderr, "describe plugin %s: %v\n", info.Name, err)
			return 1
		}
		fmt.Fprintf(stdout, "%s\n", text)
		return 0
	}
	kind := TypeName(c.Type())
	fmt.Fprintf(stderr, `This is %s/%s %s, a plugin of Pintle. It is started by pintled, not by hand.

Declare it with an object, and pintled starts it:

  apiVersion: pintle.io/v1
  kind: Plugin
  metadata: {name: %s-%s}
  spec: {type: %s, name: %s, executable: %s}

  --describe   prints what the plugin can do, as JSON
`, kind, info.Name, info.Version, kind, info.Name, kind, info.Name, executable())
	return 1
}

// executable returns the path of this executable, as far as it is known.
func executable() string {
	path, err := os.Executable()
	if err != nil {
		return filepath.Base(os.Args[0])
	}
	return path
}

// nameProcess makes process listings show type and name. The host executes a
// plugin by descriptor, and the kernel takes the name of a process from the
// path of its executable. The kernel keeps 15 bytes.
func nameProcess(info Info, c Contract) {
	_ = os.WriteFile("/proc/self/comm", []byte(TypeName(c.Type())+"-"+info.Name), 0)
}

// session is the life of a serving process.
type session struct {
	service *service
	ending  sync.Once

	mu     sync.Mutex
	server *grpc.Server
}

func (s *session) adopt(server *grpc.Server) *grpc.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server = server
	return server
}

// watchHost ends the process on SIGTERM and when the host's pipe is at its
// end. The goroutines live as long as the process.
func (s *session) watchHost() {
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	go func() {
		<-terminated
		s.end("the host sent SIGTERM")
	}()

	text := os.Getenv(EnvHostFD)
	if text == "" {
		return
	}
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		slog.Warn("can't tell when the host goes away: no file descriptor", "variable", EnvHostFD, "value", text)
		return
	}
	// A child of the plugin must neither inherit the pipe nor take itself for
	// a plugin.
	syscall.CloseOnExec(fd)
	_ = os.Unsetenv(EnvHostFD)
	if err := syscall.SetNonblock(fd, true); err != nil {
		slog.Warn("can't tell when the host goes away", "fd", fd, "error", err)
		return
	}
	pipe := os.NewFile(uintptr(fd), "host")
	go func() {
		_, _ = io.Copy(io.Discard, pipe)
		s.end("the host is gone")
	}()
}

// end closes the implementation and exits. Only the first call does; later
// ones wait for the exit.
func (s *session) end(why string) {
	s.ending.Do(func() {
		slog.Debug("plugin ends", "why", why)
		s.mu.Lock()
		server := s.server
		s.mu.Unlock()
		if server != nil {
			server.Stop()
		}
		code := s.closeImplementation()
		removeSocketDir()
		os.Exit(code)
	})
	select {}
}

// closeImplementation closes the author's value where it is an io.Closer and
// returns the exit code.
func (s *session) closeImplementation() int {
	closer, ok := s.service.implementation.(io.Closer)
	if !ok {
		return 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), CloseTimeout)
	defer cancel()
	closed := make(chan error, 1)
	go func() { closed <- closer.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			slog.Error("closing the plugin failed", "error", err)
			return 1
		}
		return 0
	case <-ctx.Done():
		slog.Error("closing the plugin took too long", "timeout", CloseTimeout.Round(time.Second))
		return 1
	}
}

// removeSocketDir removes the directory that the host made for this process's
// socket, unless something else is in it. The socket itself went when the
// server stopped. The host does the same; here it is for the case that the host
// is gone.
func removeSocketDir() {
	if dir := os.Getenv(envSocketDir); dir != "" {
		_ = os.Remove(dir)
	}
}
