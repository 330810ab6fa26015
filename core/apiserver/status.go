package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/pintle-io/pintle/core/apiserver/internal/codec"
	"github.com/pintle-io/pintle/core/apiserver/internal/negotiate"
)

var statusKind = schema.GroupVersionKind{Version: "v1", Kind: "Status"}

// fail answers with an error in Kubernetes' form.
func (c *call) fail(err error) {
	if c.w.hijacked {
		return
	}
	status := statusOf(err)
	if status.Code == http.StatusInternalServerError && c.r.Context().Err() == nil {
		c.s.log.Error("request failed", "method", c.r.Method, "path", c.r.URL.Path, "user", c.user.Name, "code", status.Code, "error", err)
	}
	if c.w.code != 0 {
		// The answer has begun; only cutting it off can say that it is not whole.
		panic(http.ErrAbortHandler)
	}
	out, acceptErr := negotiate.Accept(c.r, negotiate.Objects(true))
	if acceptErr != nil {
		out = negotiate.Output{}
	}
	out.As = schema.GroupVersionKind{}
	if status.Details != nil && status.Details.RetryAfterSeconds > 0 {
		c.w.Header().Set("Retry-After", strconv.Itoa(int(status.Details.RetryAfterSeconds)))
	}
	c.answerObject(int(status.Code), out, statusKind, status)
}

// statusOf is the Kubernetes status of any error.
func statusOf(err error) *metav1.Status {
	var known apierrors.APIStatus
	switch {
	case errors.As(err, &known):
		status := known.Status()
		if status.Code == 0 {
			status.Code = http.StatusInternalServerError
		}
		status.Status = metav1.StatusFailure
		status.TypeMeta = metav1.TypeMeta{Kind: statusKind.Kind, APIVersion: statusKind.Version}
		return &status
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return statusOf(apierrors.NewTimeoutError("the request did not complete within the allotted time", 0))
	}
	return statusOf(apierrors.NewInternalError(err))
}

// forbidden is the answer to a request that is not about objects.
func (c *call) forbidden(reason string) error {
	msg := fmt.Sprintf("User %q cannot %s path %q", c.user.Name, c.info.Verb, c.r.URL.Path)
	if reason != "" {
		msg += ": " + reason
	}
	return apierrors.NewForbidden(schema.GroupResource{}, "", errors.New(msg))
}

// notServed is the answer to a path that leads nowhere.
func notServed() error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusNotFound,
		Reason:  metav1.StatusReasonNotFound,
		Details: &metav1.StatusDetails{},
		Message: "the server could not find the requested resource",
	}}
}

// setWarnings puts the request's warnings in the header, before the answer.
func (c *call) setWarnings() {
	const most = 4096 // bytes, as Kubernetes bounds them
	size := 0
	for _, text := range c.warnings.List() {
		text = strings.ToValidUTF8(strings.Map(printable, text), "")
		value, err := utilnet.NewWarningHeader(299, "-", text)
		if err != nil {
			continue // a text that a header can't carry, which printable excludes
		}
		if size += len(value); size > most {
			return
		}
		c.w.Header().Add("Warning", value)
	}
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

// answerObject answers with any object, whose kind is gvk.
func (c *call) answerObject(code int, out negotiate.Output, gvk schema.GroupVersionKind, obj runtime.Object) {
	c.setWarnings()
	a := newAnswer(&c.w, c.r, code, out.Format.MediaType())
	var err error
	if a.buf, err = codec.Append(a.buf, out, gvk, obj); err != nil {
		c.s.log.Error("encode an answer", "path", c.r.URL.Path, "error", err)
		a.code, a.buf = http.StatusInternalServerError, a.buf[:0]
	}
	a.finish()
}
