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

// tryAcquire takes the lock where nobody has it.
func (o *outputOwner) tryAcquire() bool {
	if o.owned() {
		return true
	}
	file, err := os.OpenFile(o.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return false
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = file.Close()
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.file = file
	return true
}

// acquire waits for the lock.
func (o *outputOwner) acquire(ctx context.Context) error {
	file, err := os.OpenFile(o.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	locked := make(chan error)
	go func() {
		var err error
		for {
			if err = unix.Flock(int(file.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
				break
			}
		}
		select {
		case locked <- err:
		case <-ctx.Done():
			_ = file.Close()
		}
	}()
	select {
	case err := <-locked:
		if err != nil {
			_ = file.Close()
			return err
		}
	case <-ctx.Done():
		// The goroutine waits on, and ends with the process at the latest.
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
