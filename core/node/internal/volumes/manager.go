package volumes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pintle-io/pintle/core/node/internal/plugins"
	"github.com/pintle-io/pintle/core/node/internal/podspec"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

const (
	// callTimeout ends a plugin's call, whatever its server does.
	callTimeout = 2 * time.Minute
	volumesDir  = "volumes"
	subPathsDir = "volume-subpaths"
	ownPrefix   = "@"
)

// Options of a Manager.
type Options struct {
	// PodsDir holds a directory a pod, by its UID.
	PodsDir string
	Plugins plugins.Lookup
	Objects podspec.Objects
	// Allocatable is what the node can give.
	Allocatable func() corev1.ResourceList
	Log         *slog.Logger
}

// Manager of the volumes of all pods of the node. Calls for one pod must not
// overlap.
type Manager struct{ o Options }

// New makes a Manager.
func New(o Options) *Manager { return &Manager{o: o} }

// PodDir is the directory of a pod.
func (m *Manager) PodDir(uid types.UID) string { return filepath.Join(m.o.PodsDir, string(uid)) }

// Error of one volume.
type Error struct {
	Volume string
	Err    error
}

func (e *Error) Error() string {
	return fmt.Sprintf("MountVolume.SetUp failed for volume %q : %s", e.Volume, errs.Text(e.Err))
}
func (e *Error) Unwrap() error { return e.Err }

// Mount makes the volumes that the pod's containers use and returns where they
// are on the node, by name. The error joins an *Error for each volume that
// failed. It is idempotent.
func (m *Manager) Mount(ctx context.Context, pod *corev1.Pod) (map[string]string, error) {
	used := usedVolumes(pod)
	var mu sync.Mutex
	var wg sync.WaitGroup
	paths := map[string]string{}
	var failed []error
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if _, ok := used[v.Name]; !ok {
			continue
		}
		wg.Go(func() {
			path, err := m.mount(ctx, pod, v)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = append(failed, &Error{v.Name, err})
				return
			}
			paths[v.Name] = path
		})
	}
	wg.Wait()
	return paths, errors.Join(failed...)
}

// Refresh writes again what the node writes itself, where it changed. It
// reports whether the pod has such volumes.
func (m *Manager) Refresh(ctx context.Context, pod *corev1.Pod) (bool, error) {
	used := usedVolumes(pod)
	any := false
	var failed []error
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if _, ok := used[v.Name]; !ok || ownKind(v) == "" {
			continue
		}
		any = true
		if _, err := m.mount(ctx, pod, v); err != nil {
			failed = append(failed, &Error{v.Name, err})
		}
	}
	return any, errors.Join(failed...)
}

func usedVolumes(pod *corev1.Pod) map[string]struct{} {
	used := map[string]struct{}{}
	for _, c := range podspec.AllContainers(pod) {
		for i := range c.VolumeMounts {
			used[c.VolumeMounts[i].Name] = struct{}{}
		}
	}
	return used
}

func (m *Manager) mount(ctx context.Context, pod *corev1.Pod, v *corev1.Volume) (string, error) {
	if kind := ownKind(v); kind != "" {
		return m.project(ctx, pod, v, filepath.Join(m.PodDir(pod.UID), volumesDir, ownPrefix+kind, v.Name))
	}
	name, source, err := Source(v)
	if err != nil {
		return "", err
	}
	plugin, err := m.o.Plugins.Volume(name)
	if err != nil {
		if errs.Is(err, errs.ClassNotFound) {
			return "", errs.FailedPrecondition("no volume plugin %q is installed on this node", name).
				WithHint("install one (kubectl get plugins) or use another volume type")
		}
		return "", err
	}
	target := filepath.Join(m.PodDir(pod.UID), volumesDir, name, v.Name)
	if err := os.MkdirAll(target, 0o750); err != nil {
		return "", err
	}
	req := &pluginv1.MountVolumeRequest{
		VolumeId: volumeID(pod.UID, v.Name), TargetPath: target, Pod: podspec.Identity(pod),
		VolumeName: v.Name, Source: source.JSON, ReadOnly: source.ReadOnly, Attributes: source.Attributes,
	}
	if sc := pod.Spec.SecurityContext; sc != nil {
		req.FsGroup = sc.FSGroup
	}
	if source.Secret != "" {
		secret, err := m.o.Objects.Secret(ctx, pod.Namespace, source.Secret)
		if err != nil {
			return "", err
		}
		req.Secrets = secret.Data
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	res, err := plugin.Mount(ctx, req)
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(res.GetPath()) {
		return "", errs.Internal("volume plugin %q answered with path %q, which is not absolute", name, res.GetPath())
	}
	return res.Path, nil
}

// volumeID is unique on the node and usable as a file name.
func volumeID(uid types.UID, name string) string { return string(uid) + "." + name }

// VolumeSource is what a plugin gets of a volume.
type VolumeSource struct {
	JSON       []byte
	ReadOnly   bool
	Attributes map[string]string
	Secret     string
}

// Source returns the plugin of a volume and what that plugin needs. The type is
// the one field of the volume that is set.
func Source(v *corev1.Volume) (plugin string, s VolumeSource, err error) {
	if c := v.CSI; c != nil {
		s.JSON, err = json.Marshal(c)
		s.ReadOnly = c.ReadOnly != nil && *c.ReadOnly
		s.Attributes = c.VolumeAttributes
		if c.NodePublishSecretRef != nil {
			s.Secret = c.NodePublishSecretRef.Name
		}
		return c.Driver, s, cmpErr(err, checkName(c.Driver))
	}
	b, err := json.Marshal(v.VolumeSource)
	if err != nil {
		return "", s, err
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(b, &fields); err != nil {
		return "", s, err
	}
	if len(fields) == 0 {
		// The API's default for a volume without a source.
		return "emptydir", VolumeSource{JSON: []byte("{}")}, nil
	}
	for name, raw := range fields {
		var readOnly struct {
			ReadOnly bool `json:"readOnly"`
		}
		_ = json.Unmarshal(raw, &readOnly) // a source without the field
		plugin, s.JSON, s.ReadOnly = strings.ToLower(name), raw, readOnly.ReadOnly
	}
	return plugin, s, checkName(plugin)
}

func cmpErr(list ...error) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkName(name string) error {
	if name == "" || strings.ContainsAny(name, "/\x00") || name[0] == '.' || name[0] == ownPrefix[0] {
		return errs.InvalidArgument("%q is not the name of a volume plugin", name)
	}
	return nil
}

// PodDirs returns the UIDs of all pods that have a directory.
func (m *Manager) PodDirs() ([]types.UID, error) {
	entries, err := os.ReadDir(m.o.PodsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []types.UID
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, types.UID(e.Name()))
		}
	}
	return out, err
}

// Mounted returns the plugin volumes and own volumes that a pod has on disk, as
// "plugin/volume".
func (m *Manager) Mounted(uid types.UID) []string {
	var out []string
	root := filepath.Join(m.PodDir(uid), volumesDir)
	kinds, _ := os.ReadDir(root) // absent: nothing is mounted
	for _, kind := range kinds {
		names, _ := os.ReadDir(filepath.Join(root, kind.Name()))
		for _, name := range names {
			out = append(out, kind.Name()+"/"+name.Name())
		}
	}
	slices.Sort(out)
	return out
}
