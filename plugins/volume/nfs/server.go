package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/sdk/errs"
)

// outcome is what the serving process tells who started it, as JSON.
type outcome struct {
	Mounted bool
	Class   errs.Class
	Message string
	Hint    string
}

// server is the process that serves the mount, or 0: who holds the lock, as the
// kernel says, so never a process that took over an old number.
func (t target) server() (int, error) {
	file, err := os.OpenFile(t.lockFile(), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("looking for the process that serves the volume: %w", err)
	}
	defer file.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(file.Fd(), unix.F_GETLK, &lock); err != nil {
		return 0, fmt.Errorf("looking for the process that serves the volume: %w", err)
	}
	if lock.Type == unix.F_UNLCK {
		return 0, nil
	}
	return int(lock.Pid), nil
}

// startServer starts the process and waits until it has mounted.
func (t target) startServer(ctx context.Context, source export) error {
	logFile, err := os.OpenFile(t.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("making the log of the volume's process: %w", err)
	}
	defer logFile.Close()
	result, resultWrite, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("making a pipe: %w", err)
	}
	defer result.Close()
	defer resultWrite.Close()

	deadline, _ := ctx.Deadline()
	cmd := exec.Command("/proc/self/exe", mountArguments(t, source, time.Until(deadline))...)
	cmd.Args[0] = "volume-nfs"
	// Nothing of the plugin's, such as what it is known to its host by.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.ExtraFiles = []*os.File{resultWrite}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the process that serves the volume: %w", err)
	}
	_ = resultWrite.Close()
	go func() {
		// Lives as long as the mount; where the plugin ends first, init reaps.
		err := cmd.Wait()
		slog.Debug("the process of an NFS volume ended", "pid", cmd.Process.Pid, "target", string(t), "error", err)
	}()

	if deadline, ok := ctx.Deadline(); ok {
		_ = result.SetReadDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { _ = result.SetReadDeadline(time.Now()) })
	defer stop()
	err = readOutcome(result, source)
	if err == nil {
		return nil
	}
	// It may be connecting, with no lock yet by which it could be found.
	_ = cmd.Process.Kill()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return unavailable(source, errors.New("no answer in time"))
	}
	return err
}

func readOutcome(r io.Reader, source export) error {
	const limit = 64 << 10
	text, err := io.ReadAll(io.LimitReader(r, limit))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	var o outcome
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	switch {
	case err != nil:
		return errs.Internal("the process that should serve %s died at its start", source)
	case o.Mounted:
		return nil
	}
	return errs.New(o.Class, "", o.Hint, errors.New(o.Message))
}

// endServer waits for the process to end, and kills it where it does not. Its
// end aborts every request that is still waiting in the mount.
func (t target) endServer(ctx context.Context, pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("watching process %d, which serves the volume: %w", pid, err)
	}
	process := os.NewFile(uintptr(fd), "pidfd")
	defer process.Close()
	// The number is the same process's only if that still holds the lock.
	if now, err := t.server(); err != nil || now != pid {
		return err
	}
	patience := graceful
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline)/2)
	}
	if exited(fd, patience) {
		return nil
	}
	slog.Warn("the process of an NFS volume is killed: it still waits for its server, or files are still open",
		"pid", pid, "target", string(t))
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("killing process %d, which serves the volume: %w", pid, err)
	}
	if !exited(fd, graceful) {
		return errs.Unavailable("process %d, which serves the volume, does not end", pid)
	}
	return nil
}

// exited waits for a process to end.
func exited(pidfd int, patience time.Duration) bool {
	until := time.Now().Add(patience)
	for {
		left := max(time.Until(until), 0)
		poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, int(left.Milliseconds()))
		if err == nil || !errors.Is(err, unix.EINTR) {
			return n > 0
		}
	}
}
