package apiserver

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/pintle-io/pintle/core/apiserver/internal/negotiate"
)

// JoinFunc takes the body of a join request, which carries a token and
// certificate requests, and returns what is answered.
type JoinFunc func(ctx context.Context, body json.RawMessage) (any, error)

// join serves POST auth.JoinPath.
func (c *call) join() error {
	if c.r.Method != http.MethodPost {
		return c.notAllowed()
	}
	if c.s.opts.Join == nil {
		return apierrors.NewServiceUnavailable("this server does not let nodes join")
	}
	format, err := c.bodyFormat()
	if err != nil {
		return err
	}
	if format != negotiate.JSON {
		return negotiate.UnsupportedMediaType([]string{negotiate.JSON.MediaType()})
	}
	body, release, err := c.body()
	if err != nil {
		return err
	}
	defer release()
	answer, err := c.s.opts.Join(c.r.Context(), body)
	if err != nil {
		return err
	}
	c.w.Header().Set("Cache-Control", "no-store")
	return c.answerPlain(answer)
}

func (c *call) caCerts() error {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		return c.notAllowed()
	}
	if len(c.s.opts.CA) == 0 {
		return notServed()
	}
	c.w.Header().Set("Content-Type", "application/x-pem-file")
	if _, err := c.w.Write(c.s.opts.CA); err != nil {
		return fmt.Errorf("send the authority's certificate: %w", err)
	}
	return nil
}
