package output

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Paths are the FIFOs of one process; an empty one is not connected.
type Paths struct {
	Stdin, Stdout, Stderr string
}

// MakeFIFOs makes the FIFOs of a process in a directory, which it makes too.
// They may exist.
func MakeFIFOs(dir string, stdin, terminal bool) (Paths, error) {
	paths := FIFOs(dir, stdin, terminal)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Paths{}, err
	}
	for _, path := range []string{paths.Stdin, paths.Stdout, paths.Stderr} {
		if path == "" {
			continue
		}
		if err := unix.Mkfifo(path, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
			return Paths{}, fmt.Errorf("make FIFO %s: %w", path, err)
		}
	}
	return paths, nil
}

// FIFOs says where the FIFOs of a process are. With a terminal there is no
// stderr: the terminal has one output.
func FIFOs(dir string, stdin, terminal bool) Paths {
	paths := Paths{Stdout: filepath.Join(dir, "stdout")}
	if stdin {
		paths.Stdin = filepath.Join(dir, "stdin")
	}
	if !terminal {
		paths.Stderr = filepath.Join(dir, "stderr")
	}
	return paths
}

// OpenRead opens the reading end of a FIFO without waiting for a writer. Until
// somebody writes, a read sees the end of the stream: see HoldWrite.
func OpenRead(path string) (*os.File, error) {
	return open(path, unix.O_RDONLY)
}

// OpenWrite opens the writing end. Nobody need read yet: the FIFO is opened for
// both, which Linux allows (fifo(7)), and so is never without a reader.
func OpenWrite(path string) (*os.File, error) {
	return open(path, unix.O_RDWR)
}

func open(path string, flags int) (*os.File, error) {
	fd, err := unix.Open(path, flags|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}
