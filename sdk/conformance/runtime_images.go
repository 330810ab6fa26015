package conformance

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
)

func runtimeImageChecks() []Check {
	return []Check{
		runtimeCheck("info", "Info says what runs the containers.", func(w *runtimeWorld) error {
			info, err := w.client.Info(w, &runtime.InfoRequest{})
			if err != nil {
				return err
			}
			if info.GetRuntimeName() == "" || info.GetRuntimeVersion() == "" {
				return fmt.Errorf("name %q, version %q", info.GetRuntimeName(), info.GetRuntimeVersion())
			}
			return nil
		}),
		runtimeCheck("image.find", "GetImage resolves a name or an ID; names are normalized as docker does; ListImages lists each image once.", checkImageFind),
		runtimeCheck("image.missing", "GetImage and CreateContainer of an image that is not on the node are NotFound.", checkImageMissing),
		runtimeCheck("image.invalid-name", "A name that is no name of an image is InvalidArgument.", func(w *runtimeWorld) error {
			_, err := w.client.PullImage(w, &runtime.PullImageRequest{Image: "not a name"}, nil)
			return mustBe(err, errs.ClassInvalidArgument, "PullImage of \"not a name\"")
		}),
		runtimeCheck("image.import-garbage", "An archive that can't be read is InvalidArgument.", checkImageGarbage),
		runtimeCheck("image.remove", "RemoveImage removes an image with all its names, and succeeds where there is none.", checkImageRemove),
		runtimeCheck("image.in-use", "RemoveImage of an image that a container uses is FailedPrecondition.", checkImageInUse),
	}
}

func checkImageFind(w *runtimeWorld) error {
	if err := w.importImage("short-name"); err != nil {
		return err
	}
	first, err := w.client.GetImage(w, &runtime.GetImageRequest{Image: "short-name"})
	if err != nil {
		return fmt.Errorf("GetImage by the name it was imported with: %w", err)
	}
	image := first.GetImage()
	if !strings.HasPrefix(image.GetId(), "sha256:") {
		return fmt.Errorf("the ID %q is not a digest", image.GetId())
	}
	if !slices.Contains(image.GetTags(), "docker.io/library/short-name:latest") {
		return fmt.Errorf("\"short-name\" is not normalized to docker.io/library/short-name:latest in %v", image.GetTags())
	}
	for _, name := range []string{image.GetId(), "docker.io/library/short-name", "short-name:latest"} {
		got, err := w.client.GetImage(w, &runtime.GetImageRequest{Image: name})
		if err != nil {
			return fmt.Errorf("GetImage %q: %w", name, err)
		}
		if got.GetImage().GetId() != image.GetId() {
			return fmt.Errorf("GetImage %q finds %s, not %s", name, got.GetImage().GetId(), image.GetId())
		}
	}
	list, err := w.client.ListImages(w, &runtime.ListImagesRequest{})
	if err != nil {
		return err
	}
	seen := map[string]int{}
	for _, other := range list.GetImages() {
		seen[other.GetId()]++
	}
	if seen[image.GetId()] != 1 {
		return fmt.Errorf("ListImages lists the image %d times", seen[image.GetId()])
	}
	_, err = w.client.RemoveImage(w, &runtime.RemoveImageRequest{Image: image.GetId()})
	return err
}

func checkImageMissing(w *runtimeWorld) error {
	const missing = "conformance.pintle.test/missing:1"
	_, err := w.client.GetImage(w, &runtime.GetImageRequest{Image: missing})
	if err := mustBe(err, errs.ClassNotFound, "GetImage of a missing image"); err != nil {
		return err
	}
	s, err := w.sandbox()
	if err != nil {
		return err
	}
	req := w.containerRequest(s.GetId())
	req.Image = missing
	_, err = w.client.CreateContainer(w, req)
	return mustBe(err, errs.ClassNotFound, "CreateContainer from a missing image")
}

func checkImageGarbage(w *runtimeWorld) error {
	if w.options().Simulated {
		return Skip("a simulation does not read archives")
	}
	for what, archive := range map[string]string{"nothing": "", "text": strings.Repeat("this is no archive\n", 1000)} {
		_, err := w.client.ImportImage(w, &runtime.ImportImageRequest{DefaultName: "garbage"}, strings.NewReader(archive))
		if err := mustBe(err, errs.ClassInvalidArgument, "ImportImage of "+what); err != nil {
			return err
		}
	}
	return nil
}

func checkImageRemove(w *runtimeWorld) error {
	if err := w.importImage("conformance.pintle.test/removed:1"); err != nil {
		return err
	}
	for range 2 {
		if _, err := w.client.RemoveImage(w, &runtime.RemoveImageRequest{Image: "conformance.pintle.test/removed:1"}); err != nil {
			return err
		}
	}
	_, err := w.client.GetImage(w, &runtime.GetImageRequest{Image: "conformance.pintle.test/removed:1"})
	return mustBe(err, errs.ClassNotFound, "GetImage of a removed image")
}

func checkImageInUse(w *runtimeWorld) error {
	c, err := w.create()
	if err != nil {
		return err
	}
	for _, name := range []string{runtimeImage, c.GetImageId()} {
		_, err = w.client.RemoveImage(w, &runtime.RemoveImageRequest{Image: name})
		if err := mustBe(err, errs.ClassFailedPrecondition, "RemoveImage of an image in use"); err != nil {
			return err
		}
	}
	return nil
}
