package output

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// readSize is what a pump takes at once: the capacity of a FIFO.
const readSize = 64 << 10

// retryInterval is between attempts to write to a log that can't be written,
// and retryTotal is how long an ended container's last output is kept for one.
const (
	retryInterval = time.Second
	retryTotal    = 10 * time.Second
)

// pump carries one stream to its end.
type pump struct {
	stream Stream
	fifo   *os.File
	log    *Log
	hub    *hub
	logger *slog.Logger
	// stopped ends the pump at once, leaving the rest in the FIFO; ended says
	// that the container has ended, so that a log on a full disk is not waited
	// for without end.
	stopped <-chan struct{}
	ended   <-chan struct{}
}

func (p *pump) run() {
	defer func() { _ = p.fifo.Close() }()
	if err := p.copy(); err != nil {
		p.logger.Error("output of a container is no longer read", "stream", p.stream, "err", err)
	}
}

func (p *pump) copy() error {
	raw, err := p.fifo.SyscallConn()
	if err != nil {
		return err
	}
	var side [2]int
	if err := unix.Pipe2(side[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	defer func() { _, _ = unix.Close(side[0]), unix.Close(side[1]) }()
	buf := make([]byte, readSize)
	for {
		n, err := peek(raw, side, buf)
		if errors.Is(err, os.ErrDeadlineExceeded) || (err == nil && n == 0) {
			return nil
		}
		if err != nil {
			return err
		}
		if !p.deliver(buf[:n]) {
			return nil
		}
		if err := discard(raw, buf[:n]); err != nil {
			return err
		}
	}
}

// deliver writes data to the log and to who attached. It is false where the
// pump was stopped before.
func (p *pump) deliver(data []byte) bool {
	started := time.Now()
	for attempt := 0; ; attempt++ {
		err := p.log.Write(p.stream, data)
		if err == nil {
			break
		}
		if attempt == 0 {
			p.logger.Warn("can't write a container's log; the container is held up until it can", "path", p.log.path, "err", err)
		}
		select {
		case <-p.stopped:
			return false
		case <-time.After(retryInterval):
		}
		if isClosed(p.ended) && time.Since(started) > retryTotal {
			p.logger.Error("output of an ended container is dropped: its log can't be written", "path", p.log.path, "bytes", len(data), "err", err)
			break
		}
	}
	p.hub.send(p.stream, data)
	return true
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// peek waits for data and copies it into buf without taking it out of the
// FIFO. It returns 0 at the end of the stream.
func peek(raw syscall.RawConn, side [2]int, buf []byte) (int, error) {
	var (
		n      int
		teeErr error
	)
	err := raw.Read(func(fd uintptr) bool {
		for {
			var copied int64
			copied, teeErr = unix.Tee(int(fd), side[1], len(buf), unix.SPLICE_F_NONBLOCK)
			n = int(copied)
			if errors.Is(teeErr, unix.EINTR) {
				continue
			}
			return !errors.Is(teeErr, unix.EAGAIN)
		}
	})
	if err != nil {
		return 0, err
	}
	if teeErr != nil {
		return 0, fmt.Errorf("tee: %w", teeErr)
	}
	return n, readFull(side[0], buf[:n])
}

// discard takes what was delivered out of the FIFO: it has a single reader.
func discard(raw syscall.RawConn, buf []byte) error {
	var readErr error
	err := raw.Control(func(fd uintptr) { readErr = readFull(int(fd), buf) })
	return errors.Join(err, readErr)
}

func readFull(fd int, buf []byte) error {
	for len(buf) > 0 {
		n, err := unix.Read(fd, buf)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case n == 0:
			return io.ErrUnexpectedEOF
		default:
			buf = buf[n:]
		}
	}
	return nil
}
