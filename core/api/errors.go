package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/pintle-io/pintle/core/registry"
	"github.com/pintle-io/pintle/core/store"
)

// errModified is the message of a conflict that clients know.
var errModified = errors.New("the object has been modified; please apply your changes to the latest version and try again")

// errUnknownResource is what Kubernetes answers for a path that is not served.
func errUnknownResource(gr schema.GroupResource) error {
	err := apierrors.NewGenericServerResponse(http.StatusNotFound, "", gr, "", "", 0, true)
	err.ErrStatus.Message = "the server could not find the requested resource"
	return err
}

func errMethod(gr schema.GroupResource, verb string) error {
	return apierrors.NewMethodNotSupported(gr, verb)
}

func invalid(k *registry.Kind, name string, errs field.ErrorList) error {
	return apierrors.NewInvalid(k.GVK.GroupKind(), name, errs)
}

func damaged(key string, err error) error {
	return apierrors.NewInternalError(fmt.Errorf("the stored object %s can't be read: %w", key, err))
}

// internal wraps what should not happen.
func internal(err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return err
	}
	return apierrors.NewInternalError(err)
}

// objectError turns the store's answer about one object into the API's.
func objectError(err error, k *registry.Kind, name string) error {
	var conflict *store.ConflictError
	switch {
	case errors.Is(err, store.ErrNotFound):
		return apierrors.NewNotFound(k.GroupResource(), name)
	case errors.Is(err, store.ErrExists):
		return apierrors.NewAlreadyExists(k.GroupResource(), name)
	case errors.As(err, &conflict):
		return apierrors.NewConflict(k.GroupResource(), name, errModified)
	}
	return storeError(err)
}

// storeError turns an answer of the store that is about no one object.
func storeError(err error) error {
	var (
		status    apierrors.APIStatus
		tooLarge  *store.TooLargeError
		reserved  *store.ReservedError
		compacted *store.CompactedError
		future    *store.FutureError
	)
	switch {
	case errors.As(err, &status):
		return err
	case errors.As(err, &tooLarge):
		return errTooLarge(tooLarge.Size, tooLarge.Limit)
	case errors.As(err, &reserved):
		return apierrors.NewServerTimeout(schema.GroupResource{}, "allocate "+reserved.Name, 1)
	case errors.As(err, &compacted):
		return apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d (%d)", compacted.Requested, compacted.Oldest))
	case errors.As(err, &future):
		return errFuture(future.Requested, future.Newest)
	case errors.Is(err, store.ErrUnknownOutcome):
		return apierrors.NewTimeoutError("the request ended before its outcome was known: the change may or may not have been made", 1)
	case errors.Is(err, store.ErrClosed):
		return apierrors.NewServiceUnavailable("the server is stopping")
	case errors.Is(err, store.ErrNoSpace):
		return apierrors.NewGenericServerResponse(http.StatusInsufficientStorage, "write", schema.GroupResource{}, "",
			"no space left on the disk of the store: nothing was changed; free space and try again", 0, true)
	case errors.Is(err, store.ErrFailed):
		return apierrors.NewServiceUnavailable(err.Error())
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return apierrors.NewTimeoutError("the request ended before it was answered", 0)
	}
	return apierrors.NewInternalError(err)
}

// errTooLarge answers an object over the limit of the store, which no retry
// makes smaller.
func errTooLarge(size, limit int) error {
	return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("the object has %d bytes in its stored form and the limit is %d", size, limit))
}

// errFuture answers a resourceVersion that was not reached yet, in the form
// that apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge)
// finds.
func errFuture(requested, current uint64) error {
	err := apierrors.NewTimeoutError(fmt.Sprintf("Too large resource version: %d, current: %d", requested, current), 1)
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{
		Type:    metav1.CauseTypeResourceVersionTooLarge,
		Message: "Too large resource version",
	}}
	return err
}
