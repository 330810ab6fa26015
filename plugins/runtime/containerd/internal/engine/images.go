package engine

import (
	"container/list"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/ocispec"
)

// maxDetails bounds what is remembered of images that are gone from the node.
const maxDetails = 512

// imageInfo is one image with all its names. It is never changed.
type imageInfo struct {
	*imageDetails
	info *runtime.Image
	// names are those of containerd's records, sorted.
	names []string
	image images.Image
}

// imageDetails follow from the digest of a manifest or index, and so never
// change.
type imageDetails struct {
	id      string
	size    int64
	config  imagespec.ImageConfig
	chainID string

	accountsOnce sync.Mutex
	accountsRead *ocispec.Accounts
}

// imageIndex knows the images in containerd without asking for them, until it
// is told that one changed.
type imageIndex struct {
	engine *Engine

	// loading is held while the index is read anew.
	loading sync.Mutex

	mu     sync.RWMutex
	valid  bool
	byID   map[string]*imageInfo
	byName map[string]*imageInfo
	// details by digest of the target, the last used first.
	details map[digest.Digest]*list.Element
	recent  *list.List
}

type detailsEntry struct {
	target  digest.Digest
	details *imageDetails
}

func newImageIndex(e *Engine) *imageIndex {
	return &imageIndex{engine: e, details: map[digest.Digest]*list.Element{}, recent: list.New()}
}

func (x *imageIndex) invalidate() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.valid = false
}

// reload reads containerd's images.
func (x *imageIndex) reload(ctx context.Context) error {
	x.loading.Lock()
	defer x.loading.Unlock()
	x.mu.Lock()
	// What is invalidated from here on may be missing in the list.
	x.valid = true
	x.mu.Unlock()
	records, err := x.engine.client.ImageService().List(ctx)
	if err != nil {
		x.invalidate()
		return classify(err, "list the images in containerd")
	}
	byID := map[string]*imageInfo{}
	byName := map[string]*imageInfo{}
	for _, record := range records {
		details, err := x.detailsOf(ctx, record)
		if errdefs.IsNotFound(err) {
			// A pull that was cut short, or an image of another platform.
			continue
		}
		if err != nil {
			x.invalidate()
			return classify(err, "read image %s", record.Name)
		}
		image := byID[details.id]
		if image == nil {
			image = &imageInfo{imageDetails: details, image: record}
			byID[details.id] = image
		}
		image.names = append(image.names, record.Name)
		byName[record.Name] = image
	}
	for _, image := range byID {
		slices.Sort(image.names)
		image.info = describe(image, records)
	}
	x.mu.Lock()
	x.byID, x.byName = byID, byName
	x.mu.Unlock()
	return nil
}

// describe makes what the contract tells of an image.
func describe(image *imageInfo, records []images.Image) *runtime.Image {
	info := &runtime.Image{Id: image.id, SizeBytes: image.size, StopSignal: image.config.StopSignal}
	for _, record := range records {
		if !slices.Contains(image.names, record.Name) {
			continue
		}
		named, err := reference.ParseNormalizedNamed(record.Name)
		if err != nil {
			continue
		}
		if _, ok := named.(reference.Tagged); ok {
			info.Tags = append(info.Tags, record.Name)
		}
		if withDigest := named.Name() + "@" + record.Target.Digest.String(); !slices.Contains(info.Digests, withDigest) {
			info.Digests = append(info.Digests, withDigest)
		}
	}
	slices.Sort(info.Tags)
	slices.Sort(info.Digests)
	name, _, _ := strings.Cut(image.config.User, ":")
	if uid, err := ocispec.ParseID(name); err == nil {
		value := int64(uid)
		info.Uid = &value
	} else if name == "" {
		info.Uid = new(int64)
	} else {
		info.Username = name
	}
	return info
}

// detailsOf reads an image's manifest and configuration, once a digest.
func (x *imageIndex) detailsOf(ctx context.Context, record images.Image) (*imageDetails, error) {
	if element := x.details[record.Target.Digest]; element != nil {
		x.recent.MoveToFront(element)
		return element.Value.(*detailsEntry).details, nil
	}
	store := x.engine.client.ContentStore()
	manifest, err := images.Manifest(ctx, store, record.Target, platforms.Default())
	if err != nil {
		return nil, err
	}
	data, err := content.ReadBlob(ctx, store, manifest.Config)
	if err != nil {
		return nil, err
	}
	var config imagespec.Image
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", manifest.Config.Digest, err)
	}
	details := &imageDetails{
		id:      manifest.Config.Digest.String(),
		size:    manifest.Config.Size,
		config:  config.Config,
		chainID: identity.ChainID(config.RootFS.DiffIDs).String(),
	}
	for _, layer := range manifest.Layers {
		details.size += layer.Size
	}
	x.details[record.Target.Digest] = x.recent.PushFront(&detailsEntry{record.Target.Digest, details})
	if x.recent.Len() > maxDetails {
		oldest := x.recent.Remove(x.recent.Back()).(*detailsEntry)
		delete(x.details, oldest.target)
	}
	return details, nil
}

func (x *imageIndex) fresh(ctx context.Context) error {
	x.mu.RLock()
	valid := x.valid
	x.mu.RUnlock()
	if valid {
		return nil
	}
	return x.reload(ctx)
}

// normalize turns what a user writes into a name of containerd's records:
// "nginx" is "docker.io/library/nginx:latest".
func normalize(name string) (reference.Named, error) {
	named, err := reference.ParseDockerRef(name)
	if err != nil {
		return nil, errs.InvalidArgument("image %q is not a name of an image: %w", name, err).WithReason("InvalidImageName")
	}
	return named, nil
}

// asID recognizes "sha256:…" and its 64 digits alone.
func asID(name string) (string, bool) {
	if id, err := digest.Parse(name); err == nil {
		return id.String(), true
	}
	if id, err := digest.Parse("sha256:" + name); err == nil {
		return id.String(), true
	}
	return "", false
}

// resolve finds an image by ID, name or digest.
func (x *imageIndex) resolve(ctx context.Context, name string) (*imageInfo, error) {
	if err := x.fresh(ctx); err != nil {
		return nil, err
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	missing := errs.NotFound("image %s is not on this node", name).WithReason("ImageNotFound")
	if id, ok := asID(name); ok {
		if image := x.byID[id]; image != nil {
			return image, nil
		}
		return nil, missing
	}
	named, err := normalize(name)
	if err != nil {
		return nil, err
	}
	if image := x.byName[named.String()]; image != nil {
		return image, nil
	}
	if _, ok := named.(reference.Digested); ok {
		for _, image := range x.byID {
			if slices.Contains(image.info.Digests, named.String()) {
				return image, nil
			}
		}
	}
	return nil, missing
}

// accounts returns the users that an image knows. They are read once an image,
// from a container's file system before it is first used.
func (x *imageIndex) accounts(ctx context.Context, image *imageInfo, mounts []mount.Mount) (*ocispec.Accounts, error) {
	image.accountsOnce.Lock()
	defer image.accountsOnce.Unlock()
	if image.accountsRead != nil {
		return image.accountsRead, nil
	}
	err := mount.WithReadonlyTempMount(ctx, mounts, func(root string) (err error) {
		image.accountsRead, err = ocispec.ReadAccounts(imageRoot(root))
		return err
	})
	if err != nil {
		return nil, errs.Internal("read the users of image %s: %w", image.id, err)
	}
	return image.accountsRead, nil
}

// ListImages implements runtime.Runtime.
func (e *Engine) ListImages(ctx context.Context, _ *runtime.ListImagesRequest) (*runtime.ListImagesResponse, error) {
	if err := e.images.fresh(ctx); err != nil {
		return nil, err
	}
	e.images.mu.RLock()
	defer e.images.mu.RUnlock()
	resp := &runtime.ListImagesResponse{}
	for _, image := range e.images.byID {
		resp.Images = append(resp.Images, image.info)
	}
	return resp, nil
}

// GetImage implements runtime.Runtime.
func (e *Engine) GetImage(ctx context.Context, req *runtime.GetImageRequest) (*runtime.GetImageResponse, error) {
	image, err := e.images.resolve(ctx, req.GetImage())
	if err != nil {
		return nil, err
	}
	return &runtime.GetImageResponse{Image: image.info}, nil
}

// RemoveImage implements runtime.Runtime.
func (e *Engine) RemoveImage(ctx context.Context, req *runtime.RemoveImageRequest) (*runtime.RemoveImageResponse, error) {
	image, err := e.images.resolve(ctx, req.GetImage())
	if errs.Is(err, errs.ClassNotFound) {
		return &runtime.RemoveImageResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	for _, c := range e.table.containersOf("") {
		if info := c.snapshot(); info.GetImageId() == image.id {
			return nil, errs.FailedPrecondition("remove image %s: container %s (%s) uses it", req.GetImage(), info.GetId(), info.GetName()).
				WithReason("ImageInUse")
		}
	}
	for i, name := range image.names {
		var options []images.DeleteOpt
		if i == len(image.names)-1 {
			// Waits until its content is gone from the disk.
			options = append(options, images.SynchronousDelete())
		}
		if err := e.client.ImageService().Delete(ctx, name, options...); err != nil && !errdefs.IsNotFound(err) {
			return nil, classify(err, "remove image %s", name)
		}
	}
	e.images.invalidate()
	return &runtime.RemoveImageResponse{}, nil
}
