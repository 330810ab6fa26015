package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/pintle-io/pintle/sdk/errs"
)

// classify gives an error of containerd's client the class of the contract and
// says what was being done.
func classify(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	var classified *errs.Error
	if errors.As(err, &classified) {
		return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
	}
	class := errs.ClassInternal
	switch {
	case errors.Is(err, context.Canceled), errdefs.IsCanceled(err):
		class = errs.ClassCanceled
	case errors.Is(err, context.DeadlineExceeded), errdefs.IsDeadlineExceeded(err):
		class = errs.ClassDeadlineExceeded
	case errdefs.IsNotFound(err):
		class = errs.ClassNotFound
	case errdefs.IsAlreadyExists(err):
		class = errs.ClassAlreadyExists
	case errdefs.IsInvalidArgument(err):
		class = errs.ClassInvalidArgument
	case errdefs.IsFailedPrecondition(err):
		class = errs.ClassFailedPrecondition
	case errdefs.IsUnavailable(err):
		class = errs.ClassUnavailable
	case errdefs.IsPermissionDenied(err), errdefs.IsUnauthorized(err):
		class = errs.ClassPermissionDenied
	case errdefs.IsResourceExhausted(err):
		class = errs.ClassResourceExhausted
	case errdefs.IsNotImplemented(err):
		class = errs.ClassUnimplemented
	}
	return errs.New(class, "", "", fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err))
}

// cannotRun says whether an OCI runtime's error is about the command: runc and
// crun only say so in words.
func cannotRun(err error) bool {
	text := err.Error()
	for _, words := range []string{
		"executable file not found",
		"exec format error",
		"no such file or directory: unknown",
		"exec: \"",
		"chdir to cwd",
	} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}

// runtimeMessage takes the layers of containerd and runc off an error, so that
// what is left tells a user what is wrong.
func runtimeMessage(err error) string {
	text := err.Error()
	for _, layer := range []string{
		"unable to start container process: ",
		"OCI runtime create failed: ",
		"OCI runtime start failed: ",
		"OCI runtime exec failed: ",
		"failed to create shim task: ",
		"failed to create task for container: ",
		"exec failed: ",
	} {
		if i := strings.Index(text, layer); i >= 0 {
			text = text[i+len(layer):]
		}
	}
	return strings.TrimSuffix(text, ": unknown")
}
