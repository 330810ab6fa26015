package keeper

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/output"
)

// Command is the first argument of the process; the run directory is the second.
const Command = "keep-fifos"

func socketPath(runDir string) string { return filepath.Join(runDir, "keeper.sock") }

// server holds files open.
type server struct {
	runDir   string
	listener net.Listener

	mu          sync.Mutex
	connections int
	kept        map[string][]*os.File
}

// Serve keeps FIFOs until there is nothing to do. It returns at once where
// another keeper is at work.
func Serve(runDir string) error {
	lock, err := os.OpenFile(filepath.Join(runDir, "keeper.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil
	}
	if err := os.Remove(socketPath(runDir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", socketPath(runDir))
	if err != nil {
		return err
	}
	s := &server{runDir: runDir, listener: listener, kept: map[string][]*os.File{}}
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.connections++
		s.mu.Unlock()
		go s.serve(conn)
	}
}

func (s *server) serve(conn net.Conn) {
	defer s.leave(conn)
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		answer := "ok"
		if err := s.do(lines.Text()); err != nil {
			answer = "error " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		if _, err := fmt.Fprintln(conn, answer); err != nil {
			return
		}
	}
}

// leave ends the process where nothing is left to do.
func (s *server) leave(conn net.Conn) {
	_ = conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connections--
	for id := range s.kept {
		// Removed by a plugin that died before it said so.
		if _, err := os.Stat(filepath.Join(s.runDir, "containers", id)); errors.Is(err, fs.ErrNotExist) {
			closeAll(s.kept[id])
			delete(s.kept, id)
		}
	}
	if s.connections == 0 && len(s.kept) == 0 {
		// Closing a listener removes its socket.
		_ = s.listener.Close()
	}
}

func (s *server) do(line string) error {
	verb, id, ok := strings.Cut(line, " ")
	if !ok || id == "" || id != filepath.Base(id) || id == ".." {
		return fmt.Errorf("%q is not understood", line)
	}
	switch verb {
	case "keep":
		return s.keep(id)
	case "drop":
		s.drop(id)
		return nil
	default:
		return fmt.Errorf("%q is not understood", line)
	}
}

func (s *server) keep(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.kept[id]; ok {
		return nil
	}
	files, err := openAll(filepath.Join(s.runDir, "containers", id))
	if err != nil {
		return err
	}
	s.kept[id] = files
	return nil
}

func (s *server) drop(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	closeAll(s.kept[id])
	delete(s.kept, id)
}

// openAll opens what is there of a container's outputs, for reading, so that a
// reader still sees their end.
func openAll(dir string) ([]*os.File, error) {
	var files []*os.File
	paths := output.FIFOs(dir, false, false)
	for _, path := range []string{paths.Stdout, paths.Stderr} {
		file, err := output.OpenRead(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, file := range files {
		_ = file.Close()
	}
}
