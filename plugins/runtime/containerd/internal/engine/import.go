package engine

import (
	"context"
	"fmt"
	"io"
	"slices"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
)

// ImportImage implements runtime.Runtime.
func (e *Engine) ImportImage(ctx context.Context, req *runtime.ImportImageRequest, archive io.Reader) (*runtime.ImportImageResponse, error) {
	defaultName := ""
	if req.GetDefaultName() != "" {
		named, err := normalize(req.GetDefaultName())
		if err != nil {
			return nil, fmt.Errorf("import image: default_name: %w", err)
		}
		defaultName = named.String()
	}
	// Content that no image refers to is collected; a lease keeps it so long.
	ctx, release, err := e.client.WithLease(ctx)
	if err != nil {
		return nil, classify(err, "import image: take a lease")
	}
	defer func() { _ = release(context.WithoutCancel(ctx)) }()

	plain, err := compression.DecompressStream(archive)
	if err != nil {
		return nil, errs.InvalidArgument("import image: read the archive: %w", err)
	}
	defer func() { _ = plain.Close() }()
	imported, err := e.client.Import(ctx, plain,
		containerd.WithImportPlatform(platforms.Default()),
		containerd.WithImageRefTranslator(func(name string) string { return translateName(name, defaultName) }),
		// An image without a name in the archive has only this way to one.
		containerd.WithDigestRef(func(digest.Digest) string { return defaultName }),
		containerd.WithSkipDigestRef(func(name string) bool { return name != "" }),
	)
	if err != nil {
		return nil, importError(err)
	}
	// Readers of a pipe that stop early leave its writer hanging.
	_, _ = io.Copy(io.Discard, archive)
	if len(imported) == 0 {
		return nil, errs.InvalidArgument("import image: the archive has no image with a name").WithHint("give a default_name")
	}
	for _, image := range imported {
		if err := e.unpack(ctx, image); err != nil {
			return nil, fmt.Errorf("import image %s: %w", image.Name, err)
		}
	}
	return e.importedImages(ctx, imported)
}

// importError tells an archive that is wrong from a containerd that is.
func importError(err error) error {
	classified := classify(err, "import image: read the archive")
	switch errs.ClassOf(classified) {
	case errs.ClassInternal, errs.ClassNotFound, errs.ClassInvalidArgument, errs.ClassFailedPrecondition:
		return errs.New(errs.ClassInvalidArgument, "InvalidArchive", "make it with docker save, or as an OCI archive, for this machine's architecture", classified)
	}
	return classified
}

// translateName gives every image of an archive a full name.
func translateName(name, defaultName string) string {
	if name == "" {
		return defaultName
	}
	named, err := normalize(name)
	if err != nil {
		return defaultName
	}
	return named.String()
}

func (e *Engine) importedImages(ctx context.Context, imported []images.Image) (*runtime.ImportImageResponse, error) {
	if err := e.images.reload(ctx); err != nil {
		return nil, err
	}
	resp := &runtime.ImportImageResponse{}
	for _, image := range imported {
		found, err := e.images.resolve(ctx, image.Name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(resp.Images, found.info) {
			resp.Images = append(resp.Images, found.info)
		}
	}
	return resp, nil
}

// unpack makes the snapshots of an image's layers.
func (e *Engine) unpack(ctx context.Context, image images.Image) error {
	err := containerd.NewImageWithPlatform(e.client, image, platforms.Default()).Unpack(ctx, e.snapshotter)
	return classify(err, "unpack its layers")
}
