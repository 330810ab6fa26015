package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pintle-io/pintle/sdk/errs"
)

// TestMountWithKernel has a script for mount(8), since the kernel that the
// tests run on may have no client.
func TestMountWithKernel(t *testing.T) {
	source := export{server: "fd00::1", path: "/export/data", readOnly: true}
	for name, test := range map[string]struct {
		script string
		class  errs.Class
	}{
		"wrong path":      {"echo 'mount.nfs: mounting [fd00::1]:/export/data failed, reason given by server: No such file or directory'; exit 32", errs.ClassNotFound},
		"access denied":   {"echo 'mount.nfs: access denied by server while mounting'; exit 32", errs.ClassPermissionDenied},
		"refused":         {"echo 'mount.nfs: Connection refused'; exit 32", errs.ClassUnavailable},
		"does not return": {"exec sleep 60", errs.ClassUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			fakeMount(t, test.script)
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			err := target(t.TempDir()).mountWithKernel(ctx, source)
			if !errs.Is(err, test.class) || !strings.Contains(err.Error(), "fd00::1") || !strings.Contains(err.Error(), "/export/data") {
				t.Errorf("want class %v, naming server and path: %v", test.class, err)
			}
		})
	}
	arguments := fakeMount(t, "exit 0")
	dir := target(t.TempDir())
	if err := dir.mountWithKernel(t.Context(), source); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(arguments)
	if want := "-t nfs -o nosuid,nodev,retry=0,ro -- [fd00::1]:/export/data " + dir.mountPoint() + "\n"; err != nil || string(got) != want {
		t.Errorf("mount(8) was called with %q, want %q (%v)", got, want, err)
	}
}

// fakeMount makes a script stand for mount(8) and returns where it writes its
// arguments.
func fakeMount(t *testing.T, script string) (arguments string) {
	t.Helper()
	dir := t.TempDir()
	arguments = filepath.Join(dir, "arguments")
	text := "#!/bin/sh\necho \"$@\" >" + arguments + "\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(dir, "mount"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return arguments
}

func TestBoundedLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	log := &boundedLog{file: file}
	line := []byte(strings.Repeat("x", 1000) + "\n")
	for range 1000 {
		if _, err := log.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Size() == 0 || info.Size() > logLimit {
		t.Errorf("the log has %d bytes (%v)", info.Size(), err)
	}
}
