package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
)

// concurrentLayers is how many layers of an image are fetched at once.
const concurrentLayers = 3

// PullImage implements runtime.Runtime.
func (e *Engine) PullImage(ctx context.Context, req *runtime.PullImageRequest, report func(*runtime.PullProgress)) (*runtime.Image, error) {
	named, err := normalize(req.GetImage())
	if err != nil {
		return nil, err
	}
	progress := startProgress(report)
	defer progress.stop()
	// The last one is no credentials at all.
	for _, auth := range append(req.GetAuths(), nil) {
		err = e.pull(ctx, named.String(), auth, progress)
		if !refused(err) {
			break
		}
	}
	if err != nil {
		return nil, pullError(err, named.String())
	}
	if err := e.images.reload(ctx); err != nil {
		return nil, err
	}
	image, err := e.images.resolve(ctx, named.String())
	if err != nil {
		return nil, err
	}
	return image.info, nil
}

func (e *Engine) pull(ctx context.Context, name string, auth *runtime.RegistryAuth, progress *progress) error {
	resolver := docker.NewResolver(docker.ResolverOptions{Hosts: e.registryHosts(ctx, auth)})
	_, err := e.client.Pull(ctx, name,
		containerd.WithPullUnpack,
		containerd.WithPullSnapshotter(e.snapshotter),
		containerd.WithPlatformMatcher(platforms.Default()),
		containerd.WithMaxConcurrentDownloads(concurrentLayers),
		containerd.WithResolver(countingResolver{resolver, progress}),
		containerd.WithImageHandlerWrapper(progress.countChildren),
	)
	return err
}

// refused says whether other credentials may help.
func refused(err error) bool {
	if errors.Is(err, docker.ErrInvalidAuthorization) {
		return true
	}
	var status remoteerrors.ErrUnexpectedStatus
	return errors.As(err, &status) && (status.StatusCode == http.StatusUnauthorized || status.StatusCode == http.StatusForbidden)
}

func pullError(err error, name string) error {
	host, _, _ := strings.Cut(name, "/")
	doing := fmt.Errorf("pull image %s: %w", name, err)
	var (
		netErr net.Error
		urlErr *url.Error
		status remoteerrors.ErrUnexpectedStatus
	)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return classify(err, "pull image %s", name)
	case refused(err):
		return errs.New(errs.ClassPermissionDenied, "RegistryUnauthorized", "name a secret with credentials of "+host+" in the pod's imagePullSecrets", doing)
	case errors.Is(err, syscall.ENOSPC), strings.Contains(err.Error(), "no space left on device"):
		return errs.New(errs.ClassResourceExhausted, "DiskFull", "make room on the node's disk", doing)
	case errdefs.IsNotFound(err):
		return errs.New(errs.ClassNotFound, "ImageNotFound", "check the image's name and tag, and that it is made for this machine's architecture", doing)
	case errors.As(err, &status), errors.As(err, &urlErr), errors.As(err, &netErr):
		return errs.New(errs.ClassUnavailable, "RegistryUnavailable", "check that the node reaches "+host, doing)
	}
	return classify(err, "pull image %s", name)
}
