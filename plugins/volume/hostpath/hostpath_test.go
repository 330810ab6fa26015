package main

import (
	"encoding/json"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/volume"
)

func mount(t *testing.T, path string, kind corev1.HostPathType) (string, error) {
	t.Helper()
	source, err := json.Marshal(corev1.HostPathVolumeSource{Path: path, Type: &kind})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := hostPath{}.Mount(t.Context(), &volume.MountRequest{VolumeId: "id", TargetPath: t.TempDir(), Source: source})
	return resp.GetPath(), err
}

// TestTypes tries every type on everything that can be at a path.
func TestTypes(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.Mkdir(at("directory"), 0o700),
		os.WriteFile(at("file"), nil, 0o600),
		unix.Mknod(at("chardevice"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))),
		unix.Mknod(at("blockdevice"), unix.S_IFBLK|0o600, int(unix.Mkdev(7, 200))),
		os.Symlink(at("directory"), at("link")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	socket, err := net.Listen("unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()

	fits := map[corev1.HostPathType][]string{
		corev1.HostPathDirectory:         {"directory", "link"},
		corev1.HostPathDirectoryOrCreate: {"directory", "link"},
		corev1.HostPathFile:              {"file"},
		corev1.HostPathFileOrCreate:      {"file"},
		corev1.HostPathSocket:            {"socket"},
		corev1.HostPathCharDev:           {"chardevice"},
		corev1.HostPathBlockDev:          {"blockdevice"},
		corev1.HostPathUnset:             {"directory", "link", "file", "socket", "chardevice", "blockdevice"},
	}
	for kind, names := range fits {
		for _, name := range fits[corev1.HostPathUnset] {
			got, err := mount(t, at(name), kind)
			fit := false
			for _, n := range names {
				fit = fit || n == name
			}
			switch {
			case fit && (err != nil || got != at(name)):
				t.Errorf("type %q with a %s: path %q, %v", kind, name, got, err)
			case !fit && !errs.Is(err, errs.ClassFailedPrecondition):
				t.Errorf("type %q with a %s: %v", kind, name, err)
			case !fit && !strings.HasPrefix(err.Error(), "hostPath type check failed: "+at(name)+" is not a "):
				t.Errorf("type %q with a %s: the words are not Kubernetes': %v", kind, name, err)
			}
		}
	}
}

// TestCreate makes what the documentation says, with its mode.
func TestCreate(t *testing.T) {
	defer unix.Umask(unix.Umask(0o022))
	for _, test := range []struct {
		kind corev1.HostPathType
		path string
		mode fs.FileMode
	}{
		{corev1.HostPathDirectoryOrCreate, "new/deep/directory", fs.ModeDir | 0o755},
		{corev1.HostPathUnset, "new/directory", fs.ModeDir | 0o755},
		{corev1.HostPathFileOrCreate, "file", 0o644},
	} {
		path := filepath.Join(t.TempDir(), test.path)
		for range 2 {
			if _, err := mount(t, path, test.kind); err != nil {
				t.Fatal(err)
			}
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != test.mode {
			t.Errorf("%s: mode %v, want %v", test.kind, info.Mode(), test.mode)
		}
	}
	if _, err := mount(t, filepath.Join(t.TempDir(), "no/file"), corev1.HostPathFileOrCreate); !errs.Is(err, errs.ClassFailedPrecondition) {
		t.Errorf("a file in a directory that is not there: %v", err)
	}
}
