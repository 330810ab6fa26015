package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/sdk/errs"
)

// executor runs CNI plugins with a shared lock on a file that they inherit, and
// their own children from them. So it stays locked until the last of them has
// ended, even where this process was killed before.
type executor struct {
	invoke.RawExec
	version.PluginDecoder
	lockFile string
}

var _ invoke.Exec = (*executor)(nil)

func newExecutor(lockFile string) *executor { return &executor{lockFile: lockFile} }

// ExecPlugin implements invoke.Exec.
func (e *executor) ExecPlugin(ctx context.Context, path string, stdin []byte, environ []string) ([]byte, error) {
	lock, err := openLock(e.lockFile)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_SH); err != nil {
		return nil, fmt.Errorf("locking %s: %w", e.lockFile, err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = environ, bytes.NewReader(stdin), &stdout, &stderr
	cmd.ExtraFiles = []*os.File{lock}
	if err := cmd.Run(); err != nil {
		return nil, pluginError(filepath.Base(path), err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes(), nil
}

// pluginError reads the error that a CNI plugin prints.
// https://github.com/containernetworking/cni/blob/main/SPEC.md#error
func pluginError(name string, err error, stdout, stderr []byte) error {
	said := &types.Error{}
	if json.Unmarshal(stdout, said) == nil && (said.Msg != "" || said.Details != "") {
		return said
	}
	return fmt.Errorf("CNI plugin %s: %w: %s", name, err, bytes.TrimSpace(append(stdout, stderr...)))
}

func openLock(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

// lockCheck is how often it is looked whether CNI plugins still run.
const lockCheck = 20 * time.Millisecond

// awaitExecutions returns once no CNI plugin runs, one that a killed
// predecessor of this process started included.
func awaitExecutions(ctx context.Context, path string) error {
	lock, err := openLock(path)
	if err != nil {
		return err
	}
	defer lock.Close()
	for {
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("locking %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			return errs.DeadlineExceeded("CNI plugins still run")
		case <-time.After(lockCheck):
		}
	}
}
