package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/volume"
)

func mount(t *testing.T, source string, group *int64) string {
	t.Helper()
	target := t.TempDir()
	resp, err := emptyDir{}.Mount(t.Context(), &volume.MountRequest{
		VolumeId: "id", TargetPath: target, VolumeName: "cache", Source: []byte(source), FsGroup: group,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := (emptyDir{}).Unmount(t.Context(), &volume.UnmountRequest{VolumeId: "id", TargetPath: target}); err != nil {
			t.Error(err)
		}
	})
	return resp.GetPath()
}

func TestOwnerAndMode(t *testing.T) {
	group := int64(4321)
	for _, source := range []string{`{}`, `{"medium": "Memory"}`} {
		for _, group := range []*int64{nil, &group} {
			info, err := os.Stat(mount(t, source, group))
			if err != nil {
				t.Fatal(err)
			}
			wantMode, wantGroup := os.ModeDir|0o777, uint32(0)
			if group != nil {
				wantMode, wantGroup = wantMode|os.ModeSetgid, uint32(*group)
			}
			if info.Mode() != wantMode {
				t.Errorf("%s: mode %v, want %v", source, info.Mode(), wantMode)
			}
			if got := info.Sys().(*syscall.Stat_t).Gid; got != wantGroup {
				t.Errorf("%s: group %d, want %d", source, got, wantGroup)
			}
		}
	}
}

func TestMemoryIsLimited(t *testing.T) {
	path := mount(t, `{"medium": "Memory", "sizeLimit": "1Mi"}`, nil)
	err := os.WriteFile(filepath.Join(path, "big"), make([]byte, 2<<20), 0o600)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("writing more than the limit: %v", err)
	}
}

func TestUnknownMedium(t *testing.T) {
	_, err := emptyDir{}.Mount(t.Context(), &volume.MountRequest{
		VolumeId: "id", TargetPath: t.TempDir(), Source: []byte(`{"medium": "HugePages"}`),
	})
	if !errs.Is(err, errs.ClassInvalidArgument) {
		t.Errorf("medium HugePages: %v", err)
	}
}
