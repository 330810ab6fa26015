package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/plugins/volume/nfs/internal/nfs3"
	"github.com/pintle-io/pintle/plugins/volume/nfs/internal/nfsfuse"
	"github.com/pintle-io/pintle/plugins/volume/nfs/internal/oncrpc"
	"github.com/pintle-io/pintle/sdk/errs"
)

const (
	mountCommand = "mount"
	// resultFD is the pipe on which the outcome is told.
	resultFD = 3
	// commitTimeout is for what was not committed when the mount ended.
	commitTimeout  = 3 * time.Second
	goodbyeTimeout = time.Second
)

func mountArguments(t target, source export, timeout time.Duration) []string {
	return []string{
		mountCommand, "-server=" + source.server, "-path=" + source.path,
		fmt.Sprintf("-read-only=%t", source.readOnly), "-timeout=" + timeout.String(), "--", string(t),
	}
}

// serveMount is the process that serves one mount, until that is gone.
func serveMount(args []string) int {
	var source export
	flags := flag.NewFlagSet(mountCommand, flag.ContinueOnError)
	flags.StringVar(&source.server, "server", "", "the NFS server")
	flags.StringVar(&source.path, "path", "", "the directory on it")
	flags.BoolVar(&source.readOnly, "read-only", false, "refuse writes")
	timeout := flags.Duration("timeout", defaultTimeout, "for the server to answer")
	if err := flags.Parse(args); err != nil || flags.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "this command is the plugin's own: volume-nfs mount -server=S -path=P TARGET")
		return 2
	}
	syscall.CloseOnExec(resultFD)
	result := os.NewFile(resultFD, "result")
	slog.SetDefault(slog.New(slog.NewTextHandler(&boundedLog{file: os.Stderr}, nil)))
	_ = os.WriteFile("/proc/self/comm", []byte("volume-nfs"), 0)

	tell := func(o outcome) {
		// Nobody listens where the plugin died meanwhile; the next Mount finds
		// this process by its lock.
		_ = json.NewEncoder(result).Encode(o)
		_ = result.Close()
	}
	if err := serve(target(flags.Arg(0)), source, *timeout, func() { tell(outcome{Mounted: true}) }); err != nil {
		slog.Error("serving the volume ended", "export", source.String(), "error", err)
		tell(outcome{Class: errs.ClassOf(err), Message: err.Error(), Hint: errs.Hint(err)})
		return 1
	}
	return 0
}

func serve(t target, source export, timeout time.Duration, mounted func()) error {
	lock, err := t.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	machine, _ := os.Hostname() // The name is a courtesy to the server's log.
	root := &nfs3.Cred{Machine: machine}
	client, err := nfs3.Mount(ctx, source.server, source.path, root, observer(source))
	if err != nil {
		return classify(source, err)
	}
	attributes, err := client.GetAttr(ctx, root, client.Root)
	if err != nil {
		return classify(source, err)
	}
	if !attributes.IsDir() {
		return errs.FailedPrecondition("%s on NFS server %s is not a directory", source.path, source.server)
	}
	server, files, err := nfsfuse.Mount(nfsfuse.Options{
		Client: client, Machine: machine, Source: source.String(), Target: t.mountPoint(), ReadOnly: source.readOnly,
	})
	if err != nil {
		return errs.FailedPrecondition("mounting over FUSE: %v", err).
			WithHint("the kernel has no NFS client, so the node needs /dev/fuse")
	}
	served := make(chan struct{})
	go func() {
		server.Serve()
		close(served)
	}()
	if err := server.WaitMount(); err != nil {
		return errs.FailedPrecondition("mounting over FUSE: %v", err)
	}
	mounted()
	<-served
	return leave(client, files)
}

// leave commits what a client that was unmounted still has.
func leave(client *nfs3.Client, files *nfsfuse.FileSystem) error {
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	if err := files.Close(ctx); err != nil {
		return fmt.Errorf("writes were lost at the unmount: %w", err)
	}
	ctx, cancel = context.WithTimeout(context.Background(), goodbyeTimeout)
	defer cancel()
	_ = client.Unmount(ctx) // RFC 1813, section 5.2.3: advisory
	return nil
}

// lock is held by the kernel until this process ends.
func (t target) lock() (*os.File, error) {
	file, err := os.OpenFile(t.lockFile(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("making the lock of the volume: %w", err)
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(file.Fd(), unix.F_SETLK, &lock); err != nil {
		_ = file.Close()
		return nil, errs.Unavailable("another process serves this volume: %v", err)
	}
	return file, nil
}

// classify says what failed in the terms of the contract.
func classify(source export, err error) error {
	var status nfs3.MountError
	var refused *oncrpc.Refused
	switch {
	case errors.As(err, &status):
		switch status {
		case nfs3.MountErrNoEnt, nfs3.MountErrNotDir:
			return notExported(source, err)
		case nfs3.MountErrAcces, nfs3.MountErrPerm:
			return denied(source, err)
		}
	case errors.As(err, &refused) && refused.Auth:
		return denied(source, err)
	case errors.Is(err, context.DeadlineExceeded):
		return unavailable(source, fmt.Errorf("no answer in time: %w", err))
	}
	return unavailable(source, err)
}

// observer logs when the server goes away and when it is back.
func observer(source export) func(error) {
	away := false
	return func(err error) {
		switch {
		case err == nil:
			away = false
			slog.Info("connected to the NFS server again", "server", source.server)
		case !away:
			away = true
			slog.Warn("the NFS server does not answer; connecting again until it does", "server", source.server, "error", err)
		}
	}
}
