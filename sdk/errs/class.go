package errs

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
)

// Class is the kind of a failure: what the caller should do next.
type Class uint8

// The classes. The zero value is no class: it is what ClassOf(nil) returns.
const (
	ClassNone Class = iota
	ClassInvalidArgument
	ClassNotFound
	ClassAlreadyExists
	ClassFailedPrecondition
	ClassPermissionDenied
	ClassResourceExhausted
	ClassUnavailable
	ClassDeadlineExceeded
	ClassCanceled
	ClassUnimplemented
	ClassInternal
	ClassPluginGone
)

// String returns the class in CamelCase, as it is shown as a reason.
func (c Class) String() string {
	switch c {
	case ClassNone:
		return "None"
	case ClassInvalidArgument:
		return "InvalidArgument"
	case ClassNotFound:
		return "NotFound"
	case ClassAlreadyExists:
		return "AlreadyExists"
	case ClassFailedPrecondition:
		return "FailedPrecondition"
	case ClassPermissionDenied:
		return "PermissionDenied"
	case ClassResourceExhausted:
		return "ResourceExhausted"
	case ClassUnavailable:
		return "Unavailable"
	case ClassDeadlineExceeded:
		return "DeadlineExceeded"
	case ClassCanceled:
		return "Canceled"
	case ClassUnimplemented:
		return "Unimplemented"
	case ClassInternal:
		return "Internal"
	case ClassPluginGone:
		return "PluginGone"
	}
	return fmt.Sprintf("Class(%d)", uint8(c))
}

// code returns the gRPC code that carries the class. PluginGone shares
// Unavailable and is told apart by its reason.
func (c Class) code() codes.Code {
	switch c {
	case ClassNone:
		return codes.OK
	case ClassInvalidArgument:
		return codes.InvalidArgument
	case ClassNotFound:
		return codes.NotFound
	case ClassAlreadyExists:
		return codes.AlreadyExists
	case ClassFailedPrecondition:
		return codes.FailedPrecondition
	case ClassPermissionDenied:
		return codes.PermissionDenied
	case ClassResourceExhausted:
		return codes.ResourceExhausted
	case ClassUnavailable, ClassPluginGone:
		return codes.Unavailable
	case ClassDeadlineExceeded:
		return codes.DeadlineExceeded
	case ClassCanceled:
		return codes.Canceled
	case ClassUnimplemented:
		return codes.Unimplemented
	case ClassInternal:
		return codes.Internal
	}
	return codes.Internal
}

// classOfCode is the inverse of code for the codes that Pintle uses, and the
// nearest class for those that a plugin in another language may send.
func classOfCode(code codes.Code) Class {
	switch code {
	case codes.OK:
		return ClassNone
	case codes.InvalidArgument, codes.OutOfRange:
		return ClassInvalidArgument
	case codes.NotFound:
		return ClassNotFound
	case codes.AlreadyExists:
		return ClassAlreadyExists
	case codes.FailedPrecondition, codes.Aborted:
		return ClassFailedPrecondition
	case codes.PermissionDenied, codes.Unauthenticated:
		return ClassPermissionDenied
	case codes.ResourceExhausted:
		return ClassResourceExhausted
	case codes.Unavailable:
		return ClassUnavailable
	case codes.DeadlineExceeded:
		return ClassDeadlineExceeded
	case codes.Canceled:
		return ClassCanceled
	case codes.Unimplemented:
		return ClassUnimplemented
	case codes.Internal, codes.Unknown, codes.DataLoss:
		return ClassInternal
	}
	return ClassInternal
}

// ClassOf returns the class of err: that of the first Error in its chain, else
// the one that matches a context's error or a gRPC status in the chain, else
// ClassInternal. For nil it returns ClassNone.
func ClassOf(err error) Class {
	if err == nil {
		return ClassNone
	}
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.class
	case errors.Is(err, context.DeadlineExceeded):
		return ClassDeadlineExceeded
	case errors.Is(err, context.Canceled):
		return ClassCanceled
	}
	if st := statusOf(err); st != nil {
		return classOfStatus(st)
	}
	return ClassInternal
}

// Is reports whether err is of the class.
func Is(err error, class Class) bool {
	return ClassOf(err) == class
}
