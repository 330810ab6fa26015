package volumes

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/pintle-io/pintle/core/node/internal/atomicdir"
	"github.com/pintle-io/pintle/core/node/internal/podspec"
	"github.com/pintle-io/pintle/sdk/errs"
)

const defaultMode int32 = 0o644

// ownKind is the kind of a volume that the node writes itself, else empty.
func ownKind(v *corev1.Volume) string {
	switch {
	case v.ConfigMap != nil:
		return "configmap"
	case v.Secret != nil:
		return "secret"
	case v.DownwardAPI != nil:
		return "downwardapi"
	case v.Projected != nil:
		return "projected"
	}
	return ""
}

// project writes a volume that is a view of the API.
func (m *Manager) project(ctx context.Context, pod *corev1.Pod, v *corev1.Volume, dir string) (string, error) {
	payload, err := m.payload(ctx, pod, v)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if v.Secret != nil || v.Projected != nil {
		if err := inMemory(dir); err != nil {
			return "", err
		}
	}
	o := atomicdir.Options{}
	if sc := pod.Spec.SecurityContext; sc != nil && sc.FSGroup != nil {
		o.Group = sc.FSGroup
		for path, f := range payload {
			f.Mode |= 0o440
			payload[path] = f
		}
	}
	if _, err := atomicdir.Write(dir, payload, o); err != nil {
		return "", err
	}
	return dir, nil
}

// inMemory keeps what is written below dir off the disk.
func inMemory(dir string) error {
	mounted, err := mountinfo.Mounted(dir)
	if err != nil || mounted {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return &fs.PathError{Op: "mount tmpfs", Path: dir, Err: err}
	}
	return nil
}

func (m *Manager) payload(ctx context.Context, pod *corev1.Pod, v *corev1.Volume) (map[string]atomicdir.File, error) {
	p := projection{m: m, ctx: ctx, pod: pod, files: map[string]atomicdir.File{}, mode: defaultMode}
	var err error
	switch {
	case v.ConfigMap != nil:
		s := v.ConfigMap
		p.setMode(s.DefaultMode)
		err = p.configMap(s.Name, s.Items, s.Optional)
	case v.Secret != nil:
		s := v.Secret
		p.setMode(s.DefaultMode)
		err = p.secret(s.SecretName, s.Items, s.Optional)
	case v.DownwardAPI != nil:
		p.setMode(v.DownwardAPI.DefaultMode)
		err = p.downward(v.DownwardAPI.Items)
	case v.Projected != nil:
		p.setMode(v.Projected.DefaultMode)
		for i := range v.Projected.Sources {
			if err = p.source(&v.Projected.Sources[i]); err != nil {
				break
			}
		}
	}
	return p.files, err
}

type projection struct {
	m     *Manager
	ctx   context.Context
	pod   *corev1.Pod
	files map[string]atomicdir.File
	mode  int32
}

func (p *projection) setMode(mode *int32) {
	if mode != nil {
		p.mode = *mode
	}
}

func (p *projection) source(s *corev1.VolumeProjection) error {
	switch {
	case s.ConfigMap != nil:
		return p.configMap(s.ConfigMap.Name, s.ConfigMap.Items, s.ConfigMap.Optional)
	case s.Secret != nil:
		return p.secret(s.Secret.Name, s.Secret.Items, s.Secret.Optional)
	case s.DownwardAPI != nil:
		return p.downward(s.DownwardAPI.Items)
	}
	return errs.Unimplemented("the projected volume has a source that this node does not serve; it serves configMap, secret and downwardAPI")
}

func (p *projection) configMap(name string, items []corev1.KeyToPath, optional *bool) error {
	cm, err := p.m.o.Objects.ConfigMap(p.ctx, p.pod.Namespace, name)
	if err != nil {
		return unlessOptional(err, optional)
	}
	data := make(map[string][]byte, len(cm.Data)+len(cm.BinaryData))
	for k, v := range cm.Data {
		data[k] = []byte(v)
	}
	for k, v := range cm.BinaryData {
		data[k] = v
	}
	return p.keys(data, items, optional, "configmap")
}

func (p *projection) secret(name string, items []corev1.KeyToPath, optional *bool) error {
	secret, err := p.m.o.Objects.Secret(p.ctx, p.pod.Namespace, name)
	if err != nil {
		return unlessOptional(err, optional)
	}
	return p.keys(secret.Data, items, optional, "secret")
}

func unlessOptional(err error, optional *bool) error {
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil
	}
	return err
}

func (p *projection) keys(data map[string][]byte, items []corev1.KeyToPath, optional *bool, kind string) error {
	if len(items) == 0 {
		for k, v := range data {
			p.add(k, v, nil)
		}
		return nil
	}
	for _, item := range items {
		v, ok := data[item.Key]
		if !ok {
			if optional != nil && *optional {
				continue
			}
			return fmt.Errorf("%s references non-existent config key: %s", kind, item.Key)
		}
		p.add(item.Path, v, item.Mode)
	}
	return nil
}

func (p *projection) downward(items []corev1.DownwardAPIVolumeFile) error {
	for i := range items {
		item := &items[i]
		var value string
		var err error
		switch {
		case item.FieldRef != nil:
			value, err = podspec.FieldRef(p.pod, item.FieldRef.FieldPath)
		case item.ResourceFieldRef != nil:
			c := podspec.FindContainer(p.pod, item.ResourceFieldRef.ContainerName)
			if c == nil {
				return fmt.Errorf("downward API file %s: container %q not found", item.Path, item.ResourceFieldRef.ContainerName)
			}
			value, err = podspec.ResourceFieldRef(c, item.ResourceFieldRef, p.m.o.Allocatable())
		}
		if err != nil {
			return fmt.Errorf("downward API file %s: %w", item.Path, err)
		}
		p.add(item.Path, []byte(value), item.Mode)
	}
	return nil
}

func (p *projection) add(path string, data []byte, mode *int32) {
	m := p.mode
	if mode != nil {
		m = *mode
	}
	p.files[filepath.Clean(path)] = atomicdir.File{Data: data, Mode: fs.FileMode(m)}
}
