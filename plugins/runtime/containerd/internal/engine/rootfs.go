package engine

import (
	"io/fs"
	"os"

	continuity "github.com/containerd/continuity/fs"
	"golang.org/x/sys/unix"
)

// imageRoot reads the files of an image that is mounted and does not change.
// Links are followed as they would be inside, never out of it.
type imageRoot string

func (r imageRoot) Open(name string) (fs.File, error) {
	path, err := continuity.RootPath(string(r), name)
	if err != nil {
		return nil, err
	}
	// What should be a file may be a FIFO, which would be waited for.
	return os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
}
