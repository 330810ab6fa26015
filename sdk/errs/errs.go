package errs

import (
	"errors"
	"fmt"
	"time"
)

// Error is an error with a class. It is immutable: the With methods return
// changed copies.
type Error struct {
	class      Class
	reason     string
	hint       string
	retryAfter time.Duration
	err        error
}

// New returns an Error of the class that wraps err. Reason is a CamelCase word
// that a program can compare and hint what a person can do about it; both may
// be empty.
func New(class Class, reason, hint string, err error) *Error {
	if err == nil {
		err = errors.New(class.String())
	}
	if class == ClassNone || class > ClassPluginGone {
		// Never let an error pass for success on the wire.
		class = ClassInternal
	}
	return &Error{class: class, reason: reason, hint: hint, err: err}
}

// InvalidArgument says that the request is wrong and where.
func InvalidArgument(format string, args ...any) *Error {
	return New(ClassInvalidArgument, "", "", fmt.Errorf(format, args...))
}

// NotFound says that the thing asked for does not exist.
func NotFound(format string, args ...any) *Error {
	return New(ClassNotFound, "", "", fmt.Errorf(format, args...))
}

// AlreadyExists says that the thing exists and differs from what was asked.
func AlreadyExists(format string, args ...any) *Error {
	return New(ClassAlreadyExists, "", "", fmt.Errorf(format, args...))
}

// FailedPrecondition says which state of the world prevents the call.
func FailedPrecondition(format string, args ...any) *Error {
	return New(ClassFailedPrecondition, "", "", fmt.Errorf(format, args...))
}

// PermissionDenied says what is not allowed to whom.
func PermissionDenied(format string, args ...any) *Error {
	return New(ClassPermissionDenied, "", "", fmt.Errorf(format, args...))
}

// ResourceExhausted says what is full.
func ResourceExhausted(format string, args ...any) *Error {
	return New(ClassResourceExhausted, "", "", fmt.Errorf(format, args...))
}

// Unavailable says what is out of reach for now.
func Unavailable(format string, args ...any) *Error {
	return New(ClassUnavailable, "", "", fmt.Errorf(format, args...))
}

// DeadlineExceeded says what took too long.
func DeadlineExceeded(format string, args ...any) *Error {
	return New(ClassDeadlineExceeded, "", "", fmt.Errorf(format, args...))
}

// Canceled says that the caller gave up.
func Canceled(format string, args ...any) *Error {
	return New(ClassCanceled, "", "", fmt.Errorf(format, args...))
}

// Unimplemented says which call the plugin does not offer.
func Unimplemented(format string, args ...any) *Error {
	return New(ClassUnimplemented, "", "", fmt.Errorf(format, args...))
}

// Internal reports a bug or a surprise.
func Internal(format string, args ...any) *Error {
	return New(ClassInternal, "", "", fmt.Errorf(format, args...))
}

// PluginGone says that the plugin's process died or its connection broke.
func PluginGone(format string, args ...any) *Error {
	return New(ClassPluginGone, "", "", fmt.Errorf(format, args...))
}

// WithReason returns a copy with the reason, a CamelCase word.
func (e *Error) WithReason(reason string) *Error {
	c := *e
	c.reason = reason
	return &c
}

// WithHint returns a copy that says what a person can do about the error.
func (e *Error) WithHint(hint string) *Error {
	c := *e
	c.hint = hint
	return &c
}

// WithRetryAfter returns a copy that says when a repetition makes sense.
func (e *Error) WithRetryAfter(d time.Duration) *Error {
	c := *e
	c.retryAfter = d
	return &c
}

// Error returns the message, without class, reason or hint.
func (e *Error) Error() string { return e.err.Error() }

// Unwrap returns the wrapped error.
func (e *Error) Unwrap() error { return e.err }

// Class returns the class.
func (e *Error) Class() Class { return e.class }

// Reason returns the CamelCase reason of the first Error in err's chain that
// gives one, else the name of err's class. For nil it returns "".
func Reason(err error) string {
	if err == nil {
		return ""
	}
	for e := range chain(err) {
		if e.reason != "" {
			return e.reason
		}
	}
	return ClassOf(err).String()
}

// Hint returns what a person can do about err, or "".
func Hint(err error) string {
	for e := range chain(err) {
		if e.hint != "" {
			return e.hint
		}
	}
	return ""
}

// RetryAfter returns when a repetition makes sense, and whether err says so.
func RetryAfter(err error) (time.Duration, bool) {
	for e := range chain(err) {
		if e.retryAfter > 0 {
			return e.retryAfter, true
		}
	}
	return 0, false
}

// Text returns the message of err followed by its hint: the form for a
// person.
func Text(err error) string {
	if err == nil {
		return ""
	}
	if hint := Hint(err); hint != "" {
		return fmt.Sprintf("%s (%s)", err, hint)
	}
	return err.Error()
}

// chain yields the Errors of err's chain, outermost first.
func chain(err error) func(yield func(*Error) bool) {
	return func(yield func(*Error) bool) {
		for {
			var e *Error
			if !errors.As(err, &e) || !yield(e) {
				return
			}
			err = e.err
		}
	}
}
