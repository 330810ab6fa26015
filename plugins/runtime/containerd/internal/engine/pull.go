package engine

import (
	"context"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
)

// PullImage implements runtime.Runtime.
func (e *Engine) PullImage(ctx context.Context, req *runtime.PullImageRequest, progress func(*runtime.PullProgress)) (*runtime.Image, error) {
	return nil, errs.Unimplemented("pull")
}
