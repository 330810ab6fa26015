package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
)

// hollowImageSize is what an image takes up in a simulation: 64 MiB.
const hollowImageSize = 64 << 20

// imageName is coarser than the grammar of references: a simulation has no
// registry that could refuse the rest.
var imageName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:@/-]*$`)

// makeImage is the image of a name. Its ID follows from the name, so that all
// hollow nodes agree on it.
func makeImage(name string) *runtime.Image {
	sum := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(name)))
	image := &runtime.Image{Id: sum, SizeBytes: hollowImageSize, Uid: new(int64)}
	if strings.Contains(name, "@") {
		image.Digests = []string{name}
	} else {
		image.Tags = []string{name}
	}
	return image
}

// normalize is docker's rule for short names, as far as a simulation needs it.
func normalize(name string) string {
	host, rest, ok := strings.Cut(name, "/")
	switch {
	case !ok:
		name = "docker.io/library/" + name
	case !strings.ContainsAny(host, ".:") && host != "localhost":
		name = "docker.io/" + name
	case host == "docker.io" && !strings.Contains(rest, "/"):
		name = "docker.io/library/" + rest
	}
	last := name[strings.LastIndexByte(name, '/')+1:]
	if !strings.ContainsAny(last, ":@") {
		name += ":latest"
	}
	return name
}

func (h *hollow) PullImage(_ context.Context, req *runtime.PullImageRequest, progress func(*runtime.PullProgress)) (*runtime.Image, error) {
	if !imageName.MatchString(req.GetImage()) {
		return nil, errs.InvalidArgument("image %q is not a name of an image", req.GetImage()).WithReason("InvalidImageName")
	}
	progress(&runtime.PullProgress{Status: "pulling", DoneBytes: hollowImageSize, TotalBytes: hollowImageSize})
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.add(req.GetImage()), nil
}

func (h *hollow) add(name string) *runtime.Image {
	image := makeImage(normalize(name))
	if known := h.images[image.GetId()]; known != nil {
		return known
	}
	h.images[image.GetId()] = image
	return image
}

// ImportImage takes an archive for what default_name says it is.
func (h *hollow) ImportImage(_ context.Context, req *runtime.ImportImageRequest, archive io.Reader) (*runtime.ImportImageResponse, error) {
	size, err := io.Copy(io.Discard, archive)
	if err != nil {
		return nil, errs.Unavailable("import image: read the archive: %w", err)
	}
	if size == 0 {
		return nil, errs.InvalidArgument("import image: the archive is empty")
	}
	if req.GetDefaultName() == "" {
		return nil, errs.InvalidArgument("import image: a hollow runtime does not look into archives").WithHint("give a default_name")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return &runtime.ImportImageResponse{Images: []*runtime.Image{h.add(req.GetDefaultName())}}, nil
}

// find resolves an ID, a name or a digest.
func (h *hollow) find(name string) *runtime.Image {
	if image := h.images[name]; image != nil {
		return image
	}
	if image := h.images["sha256:"+name]; image != nil {
		return image
	}
	return h.images[makeImage(normalize(name)).GetId()]
}

func (h *hollow) ListImages(context.Context, *runtime.ListImagesRequest) (*runtime.ListImagesResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	resp := &runtime.ListImagesResponse{}
	for _, image := range h.images {
		resp.Images = append(resp.Images, image)
	}
	return resp, nil
}

func (h *hollow) GetImage(_ context.Context, req *runtime.GetImageRequest) (*runtime.GetImageResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	image := h.find(req.GetImage())
	if image == nil {
		return nil, errs.NotFound("image %s is not on this node", req.GetImage()).WithReason("ImageNotFound")
	}
	return &runtime.GetImageResponse{Image: image}, nil
}

func (h *hollow) RemoveImage(_ context.Context, req *runtime.RemoveImageRequest) (*runtime.RemoveImageResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	image := h.find(req.GetImage())
	if image == nil {
		return &runtime.RemoveImageResponse{}, nil
	}
	for _, c := range h.containers {
		if c.info.GetImageId() == image.GetId() {
			return nil, errs.FailedPrecondition("remove image %s: container %s (%s) uses it", req.GetImage(), c.info.GetId(), c.info.GetName()).
				WithReason("ImageInUse")
		}
	}
	delete(h.images, image.GetId())
	return &runtime.RemoveImageResponse{}, nil
}
