package errs

import (
	"context"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// maxMessage bounds the text of a status in bytes. A status travels in HTTP/2
// trailers, which peers limit (8 KiB in several gRPC implementations, with
// percent-encoding and the details in the same budget).
const maxMessage = 2 << 10

// reasonPluginGone tells PluginGone from Unavailable on the wire.
const reasonPluginGone = "PluginGone"

// statusOf returns the gRPC status in err's chain, or nil where there is none.
func statusOf(err error) *status.Status {
	var g interface{ GRPCStatus() *status.Status }
	if errors.As(err, &g) {
		return g.GRPCStatus()
	}
	return nil
}

// detailOf returns the ErrorDetail of a status, or nil.
func detailOf(st *status.Status) *pluginv1.ErrorDetail {
	for _, d := range st.Details() {
		if detail, ok := d.(*pluginv1.ErrorDetail); ok {
			return detail
		}
	}
	return nil
}

func classOfStatus(st *status.Status) Class {
	class := classOfCode(st.Code())
	if class == ClassUnavailable {
		detail := detailOf(st)
		if detail.GetReason() == reasonPluginGone || detail == nil && fromTransport(st.Message()) {
			return ClassPluginGone
		}
	}
	return class
}

// fromTransport reports whether an Unavailable without detail was made by
// grpc-go's own client because the connection broke, rather than sent by the
// peer. gRPC offers nothing better than the text for telling the two apart
// (google.golang.org/grpc/internal/transport: ConnectionError).
func fromTransport(message string) bool {
	for _, prefix := range []string{
		"connection error: ",
		"error reading from server: ",
		"error reading server preface: ",
		"transport is closing",
		"the connection is draining",
		"closing transport due to: ",
		"keepalive ping failed to receive ACK",
		"connection closed before server preface received",
		"the stream is done or WriteHeader was already called",
	} {
		if strings.HasPrefix(message, prefix) {
			return true
		}
	}
	return false
}

// ToStatus returns err as a gRPC status error: the code of its class, its whole
// message, and reason, hint and time of retry in an ErrorDetail. It returns nil
// for nil and a status that came from elsewhere unchanged.
func ToStatus(err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if !errors.As(err, &e) {
		if st := statusOf(err); st != nil {
			return st.Err()
		}
	}
	class := ClassOf(err)
	detail := &pluginv1.ErrorDetail{Reason: truncate(Reason(err), 128), Hint: truncate(Hint(err), maxMessage/2)}
	if class == ClassPluginGone {
		detail.Reason = reasonPluginGone
	}
	if d, ok := RetryAfter(err); ok {
		detail.RetryAfter = durationpb.New(d)
	}
	st := status.New(class.code(), truncate(err.Error(), maxMessage))
	if with, detailErr := st.WithDetails(detail); detailErr == nil {
		st = with
	}
	return st.Err()
}

// FromStatus returns err with the class that its gRPC status says, as an Error
// that still unwraps to the status. nil, io.EOF and an Error come back
// unchanged.
func FromStatus(err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // io.EOF ends a stream and is never wrapped by gRPC
		return err
	}
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	st := statusOf(err)
	if st == nil {
		return err
	}
	out := &Error{class: classOfStatus(st), err: &wireError{status: st}}
	if detail := detailOf(st); detail != nil {
		if detail.GetReason() != out.class.String() {
			out.reason = detail.GetReason()
		}
		out.hint = detail.GetHint()
		out.retryAfter = max(detail.GetRetryAfter().AsDuration(), 0)
	}
	return out
}

// wireError shows a status by its message alone, since "rpc error: code = ..."
// says nothing to an operator, and unwraps to what a context's user expects.
type wireError struct{ status *status.Status }

func (w *wireError) Error() string {
	if m := w.status.Message(); m != "" {
		return m
	}
	return w.status.Code().String()
}

func (w *wireError) GRPCStatus() *status.Status { return w.status }

func (w *wireError) Is(target error) bool {
	switch w.status.Code() {
	case codes.DeadlineExceeded:
		return target == context.DeadlineExceeded
	case codes.Canceled:
		return target == context.Canceled
	}
	return false
}

// truncate shortens s to at most n bytes, at a character's border, and makes it
// valid UTF-8, without which protobuf refuses it.
func truncate(s string, n int) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= n {
		return s
	}
	const more = " …"
	s = s[:n-len(more)]
	for len(s) > 0 && !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + more
}
