package ocispec

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

func build(t *testing.T, req *pluginv1.CreateContainerRequest, image imagespec.ImageConfig) *specs.Spec {
	t.Helper()
	spec, err := Build(Input{Request: req, Image: image, Hostname: "box", OOMScoreFloor: -100})
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func TestCommandAndArgs(t *testing.T) {
	image := imagespec.ImageConfig{Entrypoint: []string{"entry"}, Cmd: []string{"cmd"}}
	for _, c := range []struct {
		name          string
		command, args []string
		want          string
	}{
		{"of the image", nil, nil, "entry cmd"},
		{"args", nil, []string{"a"}, "entry a"},
		{"command", []string{"c"}, nil, "c"},
		{"both", []string{"c"}, []string{"a"}, "c a"},
	} {
		spec := build(t, &pluginv1.CreateContainerRequest{Command: c.command, Args: c.args}, image)
		if got := strings.Join(spec.Process.Args, " "); got != c.want {
			t.Errorf("%s: %q, not %q", c.name, got, c.want)
		}
	}
	_, err := Build(Input{Request: &pluginv1.CreateContainerRequest{Name: "x"}})
	if !errs.Is(err, errs.ClassInvalidArgument) {
		t.Errorf("no command: %v", err)
	}
}

func TestEnvironment(t *testing.T) {
	spec := build(t, &pluginv1.CreateContainerRequest{
		Command: []string{"x"}, Tty: true,
		Env: []*pluginv1.KeyValue{{Key: "B", Value: "pod"}, {Key: "EMPTY"}},
	}, imagespec.ImageConfig{Env: []string{"PATH=/image", "A=image", "B=image"}})
	want := []string{"PATH=/image", "HOSTNAME=box", "TERM=xterm", "A=image", "B=pod", "EMPTY="}
	if !slices.Equal(spec.Process.Env, want) {
		t.Errorf("%v, not %v", spec.Process.Env, want)
	}
}

func TestOOMScoreIsNotBelowWhatTheMachineAllows(t *testing.T) {
	for asked, want := range map[int64]int{-997: -100, 0: 0, 900: 900} {
		spec := build(t, &pluginv1.CreateContainerRequest{Command: []string{"x"}, Resources: &pluginv1.LinuxResources{OomScoreAdj: asked}}, imagespec.ImageConfig{})
		if *spec.Process.OOMScoreAdj != want {
			t.Errorf("%d: %d, not %d", asked, *spec.Process.OOMScoreAdj, want)
		}
	}
}

func TestMountsReplaceDefaultsAndComeShallowFirst(t *testing.T) {
	dir := t.TempDir()
	spec := build(t, &pluginv1.CreateContainerRequest{Command: []string{"x"}, Mounts: []*pluginv1.Mount{
		{HostPath: dir, ContainerPath: "/a/b/c", ReadOnly: true}, {HostPath: dir, ContainerPath: "/a"}, {HostPath: dir, ContainerPath: "/dev/shm"},
	}}, imagespec.ImageConfig{})
	var places []string
	for _, m := range spec.Mounts {
		places = append(places, m.Destination)
	}
	if got := places[len(places)-3:]; !slices.Equal(got, []string{"/a", "/dev/shm", "/a/b/c"}) {
		t.Errorf("order: %v", got)
	}
	if n := strings.Count(strings.Join(places, " "), "/dev/shm"); n != 1 {
		t.Errorf("/dev/shm is mounted %d times", n)
	}
	if last := spec.Mounts[len(spec.Mounts)-1]; !slices.Contains(last.Options, "ro") {
		t.Errorf("options: %v", last.Options)
	}
	_, err := Build(Input{Request: &pluginv1.CreateContainerRequest{Command: []string{"x"}, Mounts: []*pluginv1.Mount{{HostPath: "/nothing/here", ContainerPath: "/a"}}}})
	if !strings.Contains(err.Error(), "/nothing/here") {
		t.Errorf("a source that is not there: %v", err)
	}
}

func TestUnknownValuesAreErrors(t *testing.T) {
	dir := t.TempDir()
	for name, req := range map[string]*pluginv1.CreateContainerRequest{
		"propagation": {Mounts: []*pluginv1.Mount{{HostPath: dir, ContainerPath: "/a", Propagation: 99}}},
		"seccomp":     {Security: &pluginv1.LinuxSecurity{Seccomp: &pluginv1.SecurityProfile{Type: 99}}},
		"apparmor":    {Security: &pluginv1.LinuxSecurity{Apparmor: &pluginv1.SecurityProfile{Type: 99}}},
		"capability":  {Security: &pluginv1.LinuxSecurity{AddCapabilities: []string{"FLY"}}},
	} {
		req.Command = []string{"x"}
		if _, err := Build(Input{Request: req}); !errs.Is(err, errs.ClassInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestResolveUser(t *testing.T) {
	accounts, err := ReadAccounts(fstest.MapFS{
		"etc/passwd": {Data: []byte("root:x:0:0::/:\napp:x:1234:4321::/:\n")},
		"etc/group":  {Data: []byte("root:x:0:\napp:x:4321:\nextra:x:77:app\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	id := func(n int64) *int64 { return &n }
	for _, c := range []struct {
		name     string
		security *pluginv1.LinuxSecurity
		image    string
		uid, gid uint32
		groups   []uint32
	}{
		{"nothing said", nil, "", 0, 0, []uint32{0}},
		{"image by name", nil, "app", 1234, 4321, []uint32{4321, 77}},
		{"image by name and group", nil, "app:extra", 1234, 77, []uint32{77}},
		{"image by number that is known", nil, "1234", 1234, 4321, []uint32{4321, 77}},
		{"image by number that is not", nil, "55:66", 55, 66, []uint32{66}},
		{"request by number", &pluginv1.LinuxSecurity{RunAsUser: id(1234), SupplementalGroups: []int64{9}}, "root", 1234, 4321, []uint32{4321, 77, 9}},
		{"request by name", &pluginv1.LinuxSecurity{RunAsUsername: "app"}, "", 1234, 4321, []uint32{4321, 77}},
		{"request's group", &pluginv1.LinuxSecurity{RunAsUser: id(1), RunAsGroup: id(2)}, "", 1, 2, []uint32{2}},
	} {
		got, err := accounts.Resolve(c.security, c.image)
		if err != nil || got.UID != c.uid || got.GID != c.gid || !slices.Equal(got.AdditionalGids, c.groups) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
	for _, unknown := range []string{"nobody-here", "app:nogroup"} {
		if _, err := accounts.Resolve(nil, unknown); !errs.Is(err, errs.ClassInvalidArgument) {
			t.Errorf("%s: %v", unknown, err)
		}
	}
}
