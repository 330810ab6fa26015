package volumes

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pintle-io/pintle/core/node/internal/nodetest"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

type objects struct {
	maps    map[string]*corev1.ConfigMap
	secrets map[string]*corev1.Secret
}

func (o objects) ConfigMap(_ context.Context, _, name string) (*corev1.ConfigMap, error) {
	if m := o.maps[name]; m != nil {
		return m, nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("configmaps"), name)
}

func (o objects) Secret(_ context.Context, _, name string) (*corev1.Secret, error) {
	if s := o.secrets[name]; s != nil {
		return s, nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("secrets"), name)
}

func newManager(t *testing.T) (*Manager, *nodetest.Plugins, objects) {
	t.Helper()
	p := nodetest.NewPlugins(nil, nil)
	o := objects{maps: map[string]*corev1.ConfigMap{}, secrets: map[string]*corev1.Secret{}}
	return New(Options{PodsDir: t.TempDir(), Plugins: p, Objects: o, Allocatable: func() corev1.ResourceList { return nil }, Log: slog.New(slog.DiscardHandler)}), p, o
}

func podWith(volumes ...corev1.Volume) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "uid", Labels: map[string]string{"l": "v"}}}
	c := corev1.Container{Name: "c"}
	for _, v := range volumes {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: v.Name, MountPath: "/" + v.Name})
	}
	p.Spec.Volumes, p.Spec.Containers = volumes, []corev1.Container{c}
	return p
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestViewsOfTheAPI(t *testing.T) {
	m, _, o := newManager(t)
	o.maps["cm"] = &corev1.ConfigMap{Data: map[string]string{"a": "1"}, BinaryData: map[string][]byte{"b": {0, 1}}}
	o.secrets["s"] = &corev1.Secret{Data: map[string][]byte{"key": []byte("hidden")}}
	yes, mode, group := true, int32(0o400), int64(4242)
	ref := func(n string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: n} }
	p := podWith(
		corev1.Volume{Name: "cm", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: ref("cm")}}},
		corev1.Volume{Name: "secret", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s", DefaultMode: &mode}}},
		corev1.Volume{Name: "down", VolumeSource: corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: []corev1.DownwardAPIVolumeFile{{Path: "dir/labels", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels"}}}}}},
		corev1.Volume{Name: "proj", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: ref("cm"), Items: []corev1.KeyToPath{{Key: "a", Path: "x/y"}}}},
			{Secret: &corev1.SecretProjection{LocalObjectReference: ref("none"), Optional: &yes}},
			{Secret: &corev1.SecretProjection{LocalObjectReference: ref("s")}},
		}}}},
	)
	t.Cleanup(func() { _ = m.Unmount(context.Background(), p.UID) })
	paths, err := m.Mount(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		paths["cm"] + "/a": "1", paths["cm"] + "/b": "\x00\x01", paths["secret"] + "/key": "hidden",
		paths["down"] + "/dir/labels": `l="v"`, paths["proj"] + "/x/y": "1", paths["proj"] + "/key": "hidden",
	} {
		if got := content(t, file); got != want {
			t.Errorf("%s is %q, want %q", file, got, want)
		}
	}
	if info, _ := os.Stat(paths["secret"] + "/key"); info.Mode().Perm() != 0o400 {
		t.Errorf("mode %s", info.Mode())
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(paths["secret"], &fs); err != nil || fs.Type != unix.TMPFS_MAGIC {
		t.Errorf("the secret lies on a disk: %x %v", fs.Type, err)
	}
	o.maps["cm"] = &corev1.ConfigMap{Data: map[string]string{"a": "2"}}
	p.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: &group}
	if any, err := m.Refresh(context.Background(), p); !any || err != nil {
		t.Fatal(any, err)
	}
	if got := content(t, paths["cm"]+"/a"); got != "2" {
		t.Errorf("after the update: %q", got)
	}
	var st unix.Stat_t
	if err := unix.Stat(paths["cm"]+"/a", &st); err != nil || st.Gid != 4242 || st.Mode&0o777 != 0o644 {
		t.Errorf("group %d, mode %o, %v", st.Gid, st.Mode, err)
	}
	if err := m.Unmount(context.Background(), p.UID); err != nil {
		t.Fatal(err)
	}
	if err := m.RemovePodDir(p.UID); err != nil {
		t.Fatal(err)
	}
	if dirs, _ := m.PodDirs(); len(dirs) != 0 {
		t.Errorf("left: %v", dirs)
	}
}

func TestMissingObject(t *testing.T) {
	m, _, _ := newManager(t)
	p := podWith(corev1.Volume{Name: "x", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "none"}}})
	_, err := m.Mount(context.Background(), p)
	if want := `MountVolume.SetUp failed for volume "x" : secrets "none" not found`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestSource(t *testing.T) {
	yes := true
	for _, c := range []struct {
		v        corev1.VolumeSource
		plugin   string
		json     string
		readOnly bool
	}{
		{corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "s", Path: "/p", ReadOnly: true}}, "nfs", `{"server":"s","path":"/p","readOnly":true}`, true},
		{corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/x"}}, "hostpath", `{"path":"/x"}`, false},
		{corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}, "emptydir", `{}`, false},
		{corev1.VolumeSource{}, "emptydir", `{}`, false},
		{corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "sshfs", ReadOnly: &yes}}, "sshfs", `{"driver":"sshfs","readOnly":true}`, true},
	} {
		plugin, s, err := Source(&corev1.Volume{Name: "v", VolumeSource: c.v})
		if err != nil || plugin != c.plugin || string(s.JSON) != c.json || s.ReadOnly != c.readOnly {
			t.Errorf("%s %s %v %v, want %+v", plugin, s.JSON, s.ReadOnly, err, c)
		}
	}
	for _, driver := range []string{"", "../x", ".", "@configmap"} {
		if _, _, err := Source(&corev1.Volume{VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: driver}}}); err == nil {
			t.Errorf("driver %q was accepted", driver)
		}
	}
}

func TestUnmountByLayout(t *testing.T) {
	m, plugins, _ := newManager(t)
	v := nodetest.NewVolume()
	plugins.SetVolume("nfs", v)
	p := podWith(corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "s", Path: "/"}}})
	if _, err := m.Mount(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	if v.Mounted()["uid.data"] == nil {
		t.Fatalf("mounted %v", v.Mounted())
	}
	again := New(m.o) // knows nothing but the directory
	plugins.SetVolume("nfs", nil)
	target := filepath.Join(m.PodDir("uid"), "volumes/nfs/data")
	if err := os.WriteFile(target+"/precious", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := again.Unmount(context.Background(), "uid"); err == nil || !strings.Contains(err.Error(), "not installed any more") {
		t.Errorf("without its plugin: %v", err)
	}
	if err := again.RemovePodDir("uid"); err == nil {
		t.Error("the directory was removed with a volume in it")
	}
	plugins.SetVolume("nfs", v)
	if err := os.Remove(target + "/precious"); err != nil {
		t.Fatal(err)
	}
	if err := again.Unmount(context.Background(), "uid"); err != nil {
		t.Fatal(err)
	}
	if len(v.Mounted()) != 0 {
		t.Errorf("mounted %v", v.Mounted())
	}
	if err := again.RemovePodDir("uid"); err != nil {
		t.Fatal(err)
	}
}

func TestMountError(t *testing.T) {
	m, plugins, _ := newManager(t)
	v := nodetest.NewVolume()
	v.OnMount = func(context.Context, *pluginv1.MountVolumeRequest) error {
		return errs.Unavailable("server s does not answer")
	}
	plugins.SetVolume("nfs", v)
	_, err := m.Mount(context.Background(), podWith(corev1.Volume{Name: "x", VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "s", Path: "/"}}}))
	if err == nil || !strings.Contains(err.Error(), "server s does not answer") {
		t.Error(err)
	}
}

func TestSubPath(t *testing.T) {
	m, _, _ := newManager(t)
	volume, outside := t.TempDir(), t.TempDir()
	p := podWith()
	t.Cleanup(func() { _ = m.Unmount(context.Background(), p.UID) })
	for name, to := range map[string]string{"escape": outside, "dots": "../..", "inside": "real"} {
		if err := os.Symlink(to, filepath.Join(volume, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(volume, "real"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(volume, "real/file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"escape", "escape/new", "dots", "../x", "/etc", "real/../../x"} {
		if got, err := m.SubPath(p, "c", 0, 0, volume, bad); err == nil {
			t.Errorf("subPath %q gave %s", bad, got)
		}
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 0 {
		t.Errorf("made outside: %v", entries)
	}
	for i, good := range []string{"real", "inside", "real/file", "new/dir"} {
		for range 2 {
			got, err := m.SubPath(p, "c", 0, i, volume, good)
			if err != nil {
				t.Fatalf("subPath %q: %v", good, err)
			}
			a, _ := os.Stat(got)
			b, err := os.Stat(filepath.Join(volume, good))
			if err != nil || !os.SameFile(a, b) {
				t.Errorf("subPath %q is something else: %v", good, err)
			}
		}
	}
	if err := m.RemovePodDir(p.UID); err == nil {
		t.Error("the directory was removed under mounts")
	}
	if err := m.ReleaseSubPaths(p, "c", 1); err != nil {
		t.Fatal(err)
	}
	if err := m.RemovePodDir(p.UID); err != nil {
		t.Fatal(err)
	}
	if content(t, filepath.Join(volume, "real/file")) != "x" {
		t.Error("the volume's content is gone")
	}
}
