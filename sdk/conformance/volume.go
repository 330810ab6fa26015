package conformance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/volume"
)

// VolumeOptions are what the checks of a volume type need.
type VolumeOptions struct {
	// Source is a volume source that works, JSON. nil is that of a type whose
	// source may be empty. It is mounted many times, also at the same time.
	Source []byte
	// Attributes and Secrets go with it.
	Attributes map[string]string
	Secrets    map[string][]byte
	// ReadOnly says that nothing can be written to it.
	ReadOnly bool
	// Private says that the data is the pod's alone, as that of emptyDir.
	Private bool
	// Invalid are sources that are wrong, Missing those that name what is not
	// there, Unreachable those whose server does not answer. Where there are
	// none, their checks are skipped.
	Invalid, Missing, Unreachable [][]byte
}

func volumeChecks() []Check {
	return []Check{
		volumeCheck("mount", "Mount makes the volume usable and says where it is.", checkVolumeMount),
		volumeCheck("mount.twice", "A repeated Mount succeeds with the same path and leaves the data alone.", checkVolumeTwice),
		volumeCheck("mount.invalid", "A source that is wrong is InvalidArgument, and nothing is left of the attempt after Unmount.", checkVolumeInvalid),
		volumeCheck("mount.missing", "A source that names what is not there is NotFound, and nothing is left of the attempt after Unmount.", checkVolumeMissing),
		volumeCheck("mount.unreachable", "Mount with a dead server is Unavailable, before its deadline.", checkVolumeUnreachable),
		volumeCheck("mount.concurrent", "Different volumes are mounted and unmounted at the same time.", checkVolumeConcurrent),
		volumeCheck("mount.restart", "A plugin that was killed makes its volumes work again at the next Mount, at the same path.", checkVolumeRestart),
		volumeCheck("mount.killed", "A plugin that is killed during Mount leaves nothing that the next Mount and Unmount can't deal with.", checkVolumeKilledInMount),
		volumeCheck("unmount", "After Unmount nothing is left: no file in the target, no mount, no process.", checkVolumeUnmount),
		volumeCheck("unmount.twice", "A repeated Unmount succeeds, also without the target.", checkVolumeUnmountTwice),
		volumeCheck("unmount.never", "Unmount of what was never mounted succeeds.", checkVolumeUnmountNever),
		volumeCheck("unmount.private", "Data that is the pod's alone is removed by Unmount.", checkVolumePrivate),
		volumeCheck("unmount.killed", "A plugin that is killed during Unmount is done with it at the next.", checkVolumeKilledInUnmount),
		volumeCheck("hostile", "IDs and paths that no node agent sends are InvalidArgument, and what is too much is answered.", checkVolumeHostile),
		volumeCheck("usage", "Usage tells what was written, where the capability is claimed, and is Unimplemented elsewhere.", checkVolumeUsage),
	}
}

// volumeCheck makes a check from a function that gets a world of its own.
func volumeCheck(id, sentence string, run func(w *volumeWorld) error) Check {
	return Check{ID: "volume." + id, Sentence: sentence, Run: func(ctx context.Context, t *Target) error {
		w := &volumeWorld{Context: ctx, target: t}
		if o := t.Options.Volume; o != nil {
			w.options = *o
		}
		err := w.open()
		if err == nil {
			err = run(w)
		}
		return errors.Join(err, w.clean())
	}}
}

// volumeWorld is the plugin with the volumes that one check made on it.
type volumeWorld struct {
	context.Context
	target  *Target
	options VolumeOptions
	client  *volume.Client
	made    []*pod
}

// pod is one volume of one pod.
type pod struct {
	id, target string
}

// open connects, also again after a crash.
func (w *volumeWorld) open() error {
	conn, err := w.target.Conn(w)
	if err != nil {
		return err
	}
	w.client = volume.NewClient(conn)
	return nil
}

func (w *volumeWorld) restart() error {
	if err := w.target.Crash(w); err != nil {
		return err
	}
	return w.open()
}

// pod makes a volume's target as the node agent does.
func (w *volumeWorld) pod() (*pod, error) {
	dir, err := w.target.Dir()
	if err != nil {
		return nil, err
	}
	p := &pod{id: "cf-" + strings.ToLower(rand.Text()[:10]) + ".data", target: filepath.Join(dir, "data")}
	w.made = append(w.made, p)
	return p, os.Mkdir(p.target, 0o750)
}

func (w *volumeWorld) request(p *pod, source []byte) *volume.MountRequest {
	return &volume.MountRequest{
		VolumeId: p.id, TargetPath: p.target, VolumeName: "data",
		Pod:    &pluginv1.PodIdentity{Namespace: "conformance", Name: "pod", Uid: p.id},
		Source: source, Attributes: w.options.Attributes, Secrets: w.options.Secrets, ReadOnly: w.options.ReadOnly,
	}
}

// mount returns the path, which must be usable.
func (w *volumeWorld) mount(p *pod) (string, error) {
	resp, err := w.client.Mount(w, w.request(p, w.options.Source))
	if err != nil {
		return "", fmt.Errorf("Mount: %w", err)
	}
	path := resp.GetPath()
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return "", fmt.Errorf("Mount answered with the path %q, which is not a clean absolute one", path)
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("what Mount answered with is not usable: %w", err)
	}
	return path, nil
}

func (w *volumeWorld) unmount(p *pod) error {
	if _, err := w.client.Unmount(w, &volume.UnmountRequest{VolumeId: p.id, TargetPath: p.target}); err != nil {
		return fmt.Errorf("Unmount: %w", err)
	}
	return nil
}

// clean takes back what a check that failed left.
func (w *volumeWorld) clean() error {
	// The check's own time may be over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.Context), 30*time.Second)
	defer cancel()
	w.Context = ctx
	if len(w.made) == 0 {
		return nil
	}
	if err := w.open(); err != nil {
		return err
	}
	var failed []error
	for _, p := range w.made {
		if _, err := os.Lstat(p.target); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		failed = append(failed, w.unmount(p), w.nothingLeft(p))
	}
	return errors.Join(failed...)
}

// nothingLeft looks for what Unmount has to take back.
func (w *volumeWorld) nothingLeft(p *pod) error {
	entries, err := os.ReadDir(p.target)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is left in the target", entries[0].Name())
	}
	if mounts := mountsNaming(p.target); mounts != "" {
		return fmt.Errorf("a mount is left: %s", mounts)
	}
	// A process that was told to end needs a moment.
	patience := time.After(10 * time.Second)
	for {
		command := processNaming(p.target)
		if command == "" {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-patience:
			return fmt.Errorf("a process is left: %s", command)
		}
	}
}

// mountsNaming returns the mounts at or below a path, as far as this system
// tells of them.
func mountsNaming(path string) (found string) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, path+"/") || strings.Contains(line, path+" ") {
			found += line
		}
	}
	return found
}

// processNaming returns a command with a path among its arguments.
func processNaming(path string) string {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), path) {
			return strings.ReplaceAll(string(text), "\x00", " ")
		}
	}
	return ""
}

// writes says whether the checks can write to a path: to a directory that is
// not read-only.
func (w *volumeWorld) writes(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir() && !w.options.ReadOnly
}

// put writes a file of the pod's own name, where it can.
func (w *volumeWorld) put(p *pod, path string) error {
	if !w.writes(path) {
		return nil
	}
	return os.WriteFile(filepath.Join(path, p.id), []byte(p.id), 0o644)
}

// want finds what put wrote.
func (w *volumeWorld) want(p *pod, path string) error {
	if !w.writes(path) {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(path, p.id))
	if err == nil && string(text) != p.id {
		err = fmt.Errorf("what was written to the volume is not there any more: %q", text)
	}
	return err
}

// refuses wants a Mount to fail with a class and its Unmount to leave nothing.
func (w *volumeWorld) refuses(source []byte, class errs.Class) error {
	p, err := w.pod()
	if err != nil {
		return err
	}
	for range 2 {
		resp, err := w.client.Mount(w, w.request(p, source))
		if err == nil {
			return fmt.Errorf("Mount with the source %.200q succeeded: %v", source, resp)
		}
		if !errs.Is(err, class) {
			return fmt.Errorf("Mount with the source %.200q failed with class %v, not %v: %w", source, errs.ClassOf(err), class, err)
		}
	}
	if err := w.unmount(p); err != nil {
		return err
	}
	return w.nothingLeft(p)
}
