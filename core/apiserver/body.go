package apiserver

import (
	"bytes"
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/pintle-io/pintle/core/apiserver/internal/negotiate"
)

const (
	// maxBody in bytes is Kubernetes' own limit.
	maxBody = 3 << 20
	// smallBody in bytes is what every request in flight may bring without
	// asking. Larger bodies take their part of Options.BodyMemory once so much
	// of them has come, so that who sends slowly can't hold up small requests.
	smallBody = 64 << 10
)

// body reads a request's body, which must fit the limit, and returns what
// gives its memory back.
func (c *call) body() (body []byte, release func(), err error) {
	size := c.r.ContentLength
	switch {
	case c.r.Body == nil || size == 0:
		return nil, func() {}, nil
	case size > maxBody:
		return nil, nil, tooLarge()
	case size < 0:
		size = maxBody
	}
	var b bytes.Buffer
	if c.r.ContentLength > 0 {
		// With room for the read that finds the end.
		b.Grow(int(min(size, smallBody)) + bytes.MinRead)
	}
	n, err := b.ReadFrom(io.LimitReader(c.r.Body, smallBody))
	if err != nil {
		return nil, nil, c.unreadable(err)
	}
	if n < smallBody {
		return b.Bytes(), func() {}, nil
	}

	if err := c.s.bodies.Acquire(c.r.Context(), size); err != nil {
		return nil, nil, apierrors.NewTooManyRequests("too many large requests are being read, please try again later", 1)
	}
	free := func() { c.s.bodies.Release(size) }
	if c.r.ContentLength > 0 {
		b.Grow(int(size) - b.Len() + bytes.MinRead)
	}
	if _, err := b.ReadFrom(io.LimitReader(c.r.Body, maxBody-n+1)); err != nil {
		free()
		return nil, nil, c.unreadable(err)
	}
	if b.Len() > maxBody {
		free()
		return nil, nil, tooLarge()
	}
	return b.Bytes(), free, nil
}

func (c *call) unreadable(err error) error {
	if c.r.Context().Err() != nil {
		return apierrors.NewTimeoutError("the body of the request did not arrive in time", 0)
	}
	return apierrors.NewBadRequest(fmt.Sprintf("the body of the request could not be read: %v", err))
}

func tooLarge() error {
	return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", maxBody))
}

// bodyFormat is the format of the body by its Content-Type.
func (c *call) bodyFormat() (negotiate.Format, error) {
	return negotiate.ContentType(c.r, true)
}
