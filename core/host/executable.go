package host

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/sdk/errs"
)

// Reasons of the errors that starting a plugin gives, beside those of the
// handshake.
const (
	ReasonExecutableNotFound = "ExecutableNotFound"
	ReasonNotExecutable      = "NotExecutable"
	ReasonChecksumMismatch   = "ChecksumMismatch"
)

// executable is an opened and verified file.
type executable struct {
	file   *os.File
	path   string
	sha256 string
	stamp  fileStamp
}

// openExecutable opens a path once and verifies what it opened. All that
// follows uses the descriptor.
func openExecutable(path, wantSHA256 string) (_ *executable, err error) {
	if !filepath.IsAbs(path) {
		return nil, errs.InvalidArgument("executable %q is no absolute path", path).WithReason(ReasonExecutableNotFound)
	}
	// O_NONBLOCK keeps the open of a named pipe from waiting for a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, openError(path, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("executable %s: %w", path, err)
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, errs.FailedPrecondition("executable %s is no regular file but a %s", path, fileKind(info.Mode())).
			WithReason(ReasonNotExecutable).WithHint("name the plugin's executable file")
	case info.Mode().Perm()&0o111 == 0:
		return nil, errs.FailedPrecondition("executable %s has no execute permission (mode %s)", path, info.Mode().Perm()).
			WithReason(ReasonNotExecutable).WithHint("chmod +x " + path)
	case info.Size() == 0:
		return nil, errs.FailedPrecondition("executable %s is empty", path).
			WithReason(ReasonNotExecutable).WithHint("build or copy it again")
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return nil, fmt.Errorf("read executable %s: %w", path, err)
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	if want := strings.ToLower(strings.TrimSpace(wantSHA256)); want != "" && want != sum {
		return nil, errs.FailedPrecondition("executable %s has sha256 %s, but %s is required", path, sum, want).
			WithReason(ReasonChecksumMismatch).
			WithHint("install the file that was approved, or set the sha256 of this one after checking it")
	}
	return &executable{file: f, path: path, sha256: sum, stamp: stampOf(info)}, nil
}

// unchanged says whether the file was written in place since it was opened. A
// file that replaced it under its name is no concern: the descriptor is what
// runs.
func (e *executable) unchanged() error {
	info, err := e.file.Stat()
	if err != nil {
		return fmt.Errorf("executable %s: %w", e.path, err)
	}
	if stampOf(info).differs(e.stamp) {
		return errs.FailedPrecondition("executable %s was written while it was being started", e.path).
			WithReason(ReasonChecksumMismatch).
			WithHint("replace executables by renaming a new file over the old one")
	}
	return nil
}

// fileStamp tells whether a file's content was changed.
type fileStamp struct {
	size         int64
	links        uint64
	mtime, ctime syscall.Timespec
}

func stampOf(info fs.FileInfo) fileStamp {
	stamp := fileStamp{size: info.Size()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		stamp.links, stamp.mtime, stamp.ctime = uint64(st.Nlink), st.Mtim, st.Ctim
	}
	return stamp
}

// differs compares ctime too, which no user can set, unless the file lost a
// name in between: that changes ctime and is how executables are replaced.
func (s fileStamp) differs(before fileStamp) bool {
	return s.size != before.size || s.mtime != before.mtime || s.links == before.links && s.ctime != before.ctime
}

func fileKind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "directory"
	case mode&fs.ModeNamedPipe != 0:
		return "named pipe"
	case mode&fs.ModeSocket != 0:
		return "socket"
	}
	return "device"
}

func openError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errs.New(errs.ClassFailedPrecondition, ReasonExecutableNotFound,
			"install the plugin there, or correct spec.executable",
			fmt.Errorf("executable %s does not exist", path))
	case errors.Is(err, fs.ErrPermission):
		return errs.New(errs.ClassFailedPrecondition, ReasonNotExecutable,
			"check the permissions of the file and of the directories above it",
			fmt.Errorf("executable %s may not be read", path))
	}
	return errs.New(errs.ClassFailedPrecondition, ReasonNotExecutable, "",
		fmt.Errorf("open executable %s: %w", path, errors.Unwrap(err)))
}

// execError explains why the kernel would not execute the file.
func execError(e *executable, err error) error {
	var text, hint string
	switch {
	case errors.Is(err, unix.ENOEXEC):
		text = "it is neither a program for this machine nor a script that starts with #!"
		hint = "build it for this operating system and processor"
	case errors.Is(err, unix.ENOENT):
		text = "the interpreter or dynamic loader that it names does not exist"
		hint = "install that, or build the plugin statically (CGO_ENABLED=0)"
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		text = "the kernel refuses it; is its file system mounted noexec?"
		hint = "move it to a file system that allows execution"
	case errors.Is(err, unix.ETXTBSY):
		text = "it is open for writing"
		hint = "finish installing it, or replace it by renaming a new file over it"
	default:
		return fmt.Errorf("execute %s: %w", e.path, err)
	}
	return errs.New(errs.ClassFailedPrecondition, ReasonNotExecutable, hint,
		fmt.Errorf("execute %s: %s", e.path, text))
}
