package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// checkNothingLeft looks for processes, mounts, cgroups and files of a plugin
// that has left.
func checkNothingLeft(t *testing.T, dir string, node *pluginv1.NodeInfo) {
	t.Helper()
	// A process that was told to end needs a moment.
	var processes []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if processes = processesOf(t, dir); len(processes) == 0 {
			break
		}
	}
	for _, command := range processes {
		t.Errorf("process left: %s", command)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, dir+"/") {
			t.Errorf("mount left: %s", line)
		}
	}
	for _, own := range []string{node.GetStateDir(), node.GetRunDir()} {
		entries, err := os.ReadDir(own)
		if err != nil {
			t.Error(err)
		}
		for _, entry := range entries {
			t.Errorf("file left: %s", filepath.Join(own, entry.Name()))
		}
	}
	left, err := filepath.Glob("/sys/fs/cgroup/*/pintle-conformance")
	if err != nil {
		t.Error(err)
	}
	for _, cgroup := range left {
		t.Errorf("cgroup left: %s", cgroup)
	}
}

// processesOf returns the command lines that name a directory.
func processesOf(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err == nil && bytes.Contains(data, []byte(dir+"/")) {
			found = append(found, string(bytes.ReplaceAll(data, []byte{0}, []byte{' '})))
		}
	}
	return found
}
