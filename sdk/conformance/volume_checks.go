package conformance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/volume"
)

func checkVolumeMount(w *volumeWorld) error {
	p, err := w.pod()
	if err != nil {
		return err
	}
	path, err := w.mount(p)
	if err != nil {
		return err
	}
	if err := w.put(p, path); err != nil {
		return fmt.Errorf("writing to the volume: %w", err)
	}
	return w.want(p, path)
}

func checkVolumeTwice(w *volumeWorld) error {
	p, err := w.pod()
	if err != nil {
		return err
	}
	first, err := w.mount(p)
	if err != nil {
		return err
	}
	if err := w.put(p, first); err != nil {
		return err
	}
	mounts := mountsNaming(p.target)
	second, err := w.mount(p)
	if err != nil {
		return fmt.Errorf("the second time: %w", err)
	}
	if second != first {
		return fmt.Errorf("the path is %s, the first time it was %s", second, first)
	}
	if before, now := strings.Count(mounts, "\n"), strings.Count(mountsNaming(p.target), "\n"); before != now {
		return fmt.Errorf("%d mounts, after the first Mount %d", now, before)
	}
	return w.want(p, second)
}

func checkVolumeInvalid(w *volumeWorld) error {
	if len(w.options.Invalid) == 0 {
		return Skip("the options have no source that is wrong")
	}
	for _, source := range w.options.Invalid {
		if err := w.refuses(source, errs.ClassInvalidArgument); err != nil {
			return err
		}
	}
	return nil
}

func checkVolumeMissing(w *volumeWorld) error {
	if len(w.options.Missing) == 0 {
		return Skip("the options have no source that names what is not there")
	}
	for _, source := range w.options.Missing {
		if err := w.refuses(source, errs.ClassNotFound); err != nil {
			return err
		}
	}
	return nil
}

func checkVolumeUnreachable(w *volumeWorld) error {
	if len(w.options.Unreachable) == 0 {
		return Skip("the options have no source whose server is dead")
	}
	for _, source := range w.options.Unreachable {
		p, err := w.pod()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(w, 10*time.Second)
		_, err = w.client.Mount(ctx, w.request(p, source))
		late := ctx.Err()
		cancel()
		switch {
		case err == nil:
			return fmt.Errorf("Mount with the source %.200q succeeded", source)
		case late != nil:
			return fmt.Errorf("Mount did not return before its deadline: %w", err)
		case !errs.Is(err, errs.ClassUnavailable):
			return fmt.Errorf("Mount failed with class %v: %w", errs.ClassOf(err), err)
		}
		if err := errors.Join(w.unmount(p), w.nothingLeft(p)); err != nil {
			return err
		}
	}
	return nil
}

func checkVolumeConcurrent(w *volumeWorld) error {
	const volumes = 8
	var pods []*pod
	for range volumes {
		p, err := w.pod()
		if err != nil {
			return err
		}
		pods = append(pods, p)
	}
	var mounts, unmounts callGroup
	for _, p := range pods {
		mounts.Go(func() error {
			path, err := w.mount(p)
			if err == nil {
				err = w.put(p, path)
			}
			if err == nil {
				err = w.want(p, path)
			}
			return err
		})
	}
	if err := mounts.Wait(); err != nil {
		return err
	}
	for _, p := range pods {
		unmounts.Go(func() error { return errors.Join(w.unmount(p), w.nothingLeft(p)) })
	}
	return unmounts.Wait()
}

func checkVolumeRestart(w *volumeWorld) error {
	p, err := w.pod()
	if err != nil {
		return err
	}
	before, err := w.mount(p)
	if err != nil {
		return err
	}
	if err := w.put(p, before); err != nil {
		return err
	}
	if err := w.restart(); err != nil {
		return err
	}
	after, err := w.mount(p)
	if err != nil {
		return fmt.Errorf("after the restart: %w", err)
	}
	if after != before {
		return fmt.Errorf("the path is %s, before the restart it was %s", after, before)
	}
	if err := w.want(p, after); err != nil {
		return err
	}
	// Another restart, and no Mount before the Unmount.
	if err := w.restart(); err != nil {
		return err
	}
	return errors.Join(w.unmount(p), w.nothingLeft(p))
}

// killTimes are how long a call has been under way when its plugin is killed.
var killTimes = [...]time.Duration{0, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond}

func checkVolumeKilledInMount(w *volumeWorld) error {
	for _, after := range killTimes {
		p, err := w.pod()
		if err != nil {
			return err
		}
		killed := make(chan error, 1)
		time.AfterFunc(after, func() { killed <- w.target.Crash(w) })
		_, _ = w.client.Mount(w, w.request(p, w.options.Source))
		if err := <-killed; err != nil {
			return err
		}
		if err := w.open(); err != nil {
			return err
		}
		// What the killed process had begun may be ending only now.
		err = w.untilAvailable(func() error {
			_, err := w.mount(p)
			return err
		})
		if err != nil {
			return fmt.Errorf("after the plugin was killed %s into a Mount: %w", after, err)
		}
		if err := errors.Join(w.unmount(p), w.nothingLeft(p)); err != nil {
			return fmt.Errorf("after the plugin was killed %s into a Mount: %w", after, err)
		}
	}
	return nil
}

func checkVolumeKilledInUnmount(w *volumeWorld) error {
	for _, after := range killTimes {
		p, err := w.pod()
		if err != nil {
			return err
		}
		path, err := w.mount(p)
		if err != nil {
			return err
		}
		if err := w.put(p, path); err != nil {
			return err
		}
		killed := make(chan error, 1)
		time.AfterFunc(after, func() { killed <- w.target.Crash(w) })
		_ = w.unmount(p)
		if err := <-killed; err != nil {
			return err
		}
		if err := w.open(); err != nil {
			return err
		}
		err = w.untilAvailable(func() error { return w.unmount(p) })
		if err := errors.Join(err, w.nothingLeft(p)); err != nil {
			return fmt.Errorf("after the plugin was killed %s into an Unmount: %w", after, err)
		}
	}
	return nil
}

// untilAvailable repeats a call as the node agent does.
func (w *volumeWorld) untilAvailable(call func() error) error {
	for {
		err := call()
		if !errs.Is(err, errs.ClassUnavailable) {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-w.Done():
			return err
		}
	}
}

func checkVolumeUnmount(w *volumeWorld) error {
	p, err := w.pod()
	if err != nil {
		return err
	}
	path, err := w.mount(p)
	if err != nil {
		return err
	}
	if err := w.put(p, path); err != nil {
		return err
	}
	if err := w.unmount(p); err != nil {
		return err
	}
	return w.nothingLeft(p)
}

func checkVolumeUnmountTwice(w *volumeWorld) error {
	p, err := w.pod()
	if err != nil {
		return err
	}
	if _, err := w.mount(p); err != nil {
		return err
	}
	for range 2 {
		if err := errors.Join(w.unmount(p), w.nothingLeft(p)); err != nil {
			return err
		}
	}
	if err := os.Remove(p.target); err != nil {
		return err
	}
	return w.unmount(p)
}

func checkVolumeUnmountNever(w *volumeWorld) error {
	p, err := w.pod()
	if err != nil {
		return err
	}
	return errors.Join(w.unmount(p), w.nothingLeft(p))
}

func checkVolumePrivate(w *volumeWorld) error {
	if !w.options.Private {
		return Skip("the data is not the pod's alone")
	}
	p, err := w.pod()
	if err != nil {
		return err
	}
	path, err := w.mount(p)
	if err != nil {
		return err
	}
	if err := errors.Join(w.put(p, path), w.unmount(p)); err != nil {
		return err
	}
	if path, err = w.mount(p); err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(path, p.id)); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("a file outlived the Unmount (%v)", err)
	}
	return nil
}

func checkVolumeHostile(w *volumeWorld) error {
	p, err := w.pod()
	if err != nil {
		return err
	}
	for _, bad := range []pod{
		{"", p.target}, {".", p.target}, {"..", p.target}, {"../x", p.target}, {"a/b", p.target},
		{strings.Repeat("x", 256), p.target},
		{p.id, ""}, {p.id, "relative"}, {p.id, "/"}, {p.id, p.target + "/../other"}, {p.id, p.target + "/"},
	} {
		_, err := w.client.Mount(w, w.request(&bad, w.options.Source))
		if !errs.Is(err, errs.ClassInvalidArgument) {
			return fmt.Errorf("Mount of volume %.50q at %q: want InvalidArgument, got %w", bad.id, bad.target, orNil(err))
		}
		_, err = w.client.Unmount(w, &volume.UnmountRequest{VolumeId: bad.id, TargetPath: bad.target})
		if !errs.Is(err, errs.ClassInvalidArgument) {
			return fmt.Errorf("Unmount of volume %.50q at %q: want InvalidArgument, got %w", bad.id, bad.target, orNil(err))
		}
	}
	// Whether it takes these is its own affair; it has to live on.
	huge := w.request(p, w.options.Source)
	huge.Attributes = map[string]string{}
	for i := range 10_000 {
		huge.Attributes[fmt.Sprintf("../key %d\x00\n", i)] = strings.Repeat("ü", 100)
	}
	_, _ = w.client.Mount(w, huge)
	for _, source := range []string{"]", "null", `"text"`, strings.Repeat("[", 100_000), `{"server": "` + strings.Repeat("a", 1<<20) + `"}`} {
		_, _ = w.client.Mount(w, w.request(p, []byte(source)))
	}
	if err := errors.Join(w.unmount(p), w.nothingLeft(p)); err != nil {
		return fmt.Errorf("after sources that make no sense: %w", err)
	}
	if _, err := w.mount(p); err != nil {
		return fmt.Errorf("after sources that make no sense: %w", err)
	}
	return nil
}

// orNil makes a nil error fit for %w.
func orNil(err error) error {
	if err == nil {
		return errors.New("success")
	}
	return err
}

func checkVolumeUsage(w *volumeWorld) error {
	p, err := w.pod()
	if err != nil {
		return err
	}
	usage := func() (*volume.UsageResponse, error) {
		return w.client.Usage(w, &volume.UsageRequest{VolumeId: p.id, TargetPath: p.target})
	}
	if !w.target.Has(volume.CapabilityUsage) {
		if _, err := usage(); !errs.Is(err, errs.ClassUnimplemented) {
			return fmt.Errorf("Usage, which is not claimed: want Unimplemented, got %w", orNil(err))
		}
		return nil
	}
	if _, err := usage(); !errs.Is(err, errs.ClassNotFound) {
		return fmt.Errorf("Usage of a volume that is not mounted: want NotFound, got %w", orNil(err))
	}
	path, err := w.mount(p)
	if err != nil {
		return err
	}
	before, err := usage()
	if err != nil {
		return fmt.Errorf("Usage: %w", err)
	}
	if !w.writes(path) {
		return nil
	}
	const size = 1 << 20
	if err := os.WriteFile(filepath.Join(path, p.id), make([]byte, size), 0o644); err != nil {
		return err
	}
	after, err := usage()
	if err != nil {
		return fmt.Errorf("Usage: %w", err)
	}
	if after.GetUsedBytes() < before.GetUsedBytes()+size/2 {
		return fmt.Errorf("%d bytes are used after %d were written, before it were %d", after.GetUsedBytes(), size, before.GetUsedBytes())
	}
	return nil
}
