package apiserver

import (
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/pintle-io/pintle/core/apiserver/internal/negotiate"
)

// maxBody in bytes is Kubernetes' own limit.
const maxBody = 3 << 20

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
	if err := c.s.bodies.Acquire(c.r.Context(), size); err != nil {
		return nil, nil, apierrors.NewTooManyRequests("too many large requests are being read, please try again later", 1)
	}
	free := func() { c.s.bodies.Release(size) }
	defer func() {
		if err != nil {
			free()
		}
	}()

	if c.r.ContentLength > 0 {
		body = make([]byte, c.r.ContentLength)
		_, err = io.ReadFull(c.r.Body, body)
	} else {
		body, err = io.ReadAll(io.LimitReader(c.r.Body, maxBody+1))
		if len(body) > maxBody {
			return nil, nil, tooLarge()
		}
	}
	if err != nil {
		if c.r.Context().Err() != nil {
			return nil, nil, apierrors.NewTimeoutError("the body of the request did not arrive in time", 0)
		}
		return nil, nil, apierrors.NewBadRequest(fmt.Sprintf("the body of the request could not be read: %v", err))
	}
	return body, free, nil
}

func tooLarge() error {
	return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", maxBody))
}

// bodyFormat is the format of the body by its Content-Type.
func (c *call) bodyFormat() (negotiate.Format, error) {
	return negotiate.ContentType(c.r, true)
}
