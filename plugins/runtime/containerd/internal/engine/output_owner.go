package engine

import (
	"context"
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// outputOwner says which process reads the FIFOs of containers that were
// running before it: there must be one reader only, and while a plugin is
// replaced two processes live. The lock goes with the process that holds it.
type outputOwner struct {
	path string

	mu       sync.Mutex
	file     *os.File
	released bool
}

func newOutputOwner(path string) *outputOwner { return &outputOwner{path: path} }

// acquire waits for the lock.
func (o *outputOwner) acquire(ctx context.Context) error {
	file, err := os.OpenFile(o.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	locked := make(chan error, 1)
	go func() {
		for {
			err := unix.Flock(int(file.Fd()), unix.LOCK_EX)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			locked <- err
			return
		}
	}()
	select {
	case err := <-locked:
		if err != nil {
			_ = file.Close()
			return err
		}
	case <-ctx.Done():
		// The goroutine waits on; it and the lock end with the process, which
		// is about to.
		return ctx.Err()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.released {
		return file.Close()
	}
	o.file = file
	return nil
}

func (o *outputOwner) owned() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.file != nil
}

func (o *outputOwner) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.released = true
	if o.file != nil {
		_ = o.file.Close()
		o.file = nil
	}
}
