package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	corev1 "k8s.io/api/core/v1"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/volume"
)

// callTimeout is that of the calls that the tests make, as a node agent would.
const callTimeout = 20 * time.Second

// startPlugin starts the executable and speaks to it over the wire.
func startPlugin(t *testing.T) (*volume.Client, *goplugin.Client) {
	t.Helper()
	config := plugin.ClientConfig()
	config.Cmd = exec.Command(executable)
	config.Cmd.Env = []string{"PATH=" + os.Getenv("PATH")} // as the host gives it
	config.Logger = hclog.NewNullLogger()
	client := goplugin.NewClient(config)
	t.Cleanup(client.Kill)
	protocol, err := client.Client()
	if err != nil {
		t.Fatal(err)
	}
	conn := protocol.(*goplugin.GRPCClient).Conn
	req := &plugin.ConfigureRequest{Node: &pluginv1.NodeInfo{Name: "test", StateDir: t.TempDir(), RunDir: t.TempDir()}}
	if _, err := pluginv1.NewPluginClient(conn).Configure(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	return volume.NewClient(conn), client
}

// testVolume is a volume of a pod as the node agent sees it.
type testVolume struct {
	t      *testing.T
	client *volume.Client
	mount  *volume.MountRequest
}

func newVolume(t *testing.T, client *volume.Client, server, path string, readOnly bool) *testVolume {
	t.Helper()
	source, err := json.Marshal(corev1.NFSVolumeSource{Server: server, Path: path, ReadOnly: readOnly})
	if err != nil {
		t.Fatal(err)
	}
	v := &testVolume{t, client, &volume.MountRequest{
		VolumeId: "uid.data", TargetPath: filepath.Join(t.TempDir(), "target"), VolumeName: "data", Source: source,
	}}
	if err := os.Mkdir(v.mount.TargetPath, 0o750); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := os.Stat(v.mount.TargetPath); err == nil {
			v.mustUnmount()
		}
	})
	return v
}

func (v *testVolume) tryMount(timeout time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	resp, err := v.client.Mount(ctx, v.mount)
	return resp.GetPath(), errs.FromStatus(err)
}

func (v *testVolume) mustMount() string {
	v.t.Helper()
	path, err := v.tryMount(callTimeout)
	if err != nil {
		v.t.Fatalf("Mount: %v", err)
	}
	return path
}

// mustUnmount also checks that nothing is left.
func (v *testVolume) mustUnmount() {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	target := v.mount.TargetPath
	if _, err := v.client.Unmount(ctx, &volume.UnmountRequest{VolumeId: v.mount.VolumeId, TargetPath: target}); err != nil {
		v.t.Fatalf("Unmount: %v", err)
	}
	v.nothingLeft()
	if err := os.Remove(target); err != nil {
		v.t.Error(err)
	}
}

func (v *testVolume) nothingLeft() {
	v.t.Helper()
	target := v.mount.TargetPath
	entries, err := os.ReadDir(target)
	if err != nil || len(entries) > 0 {
		v.t.Errorf("files left in the target: %v (%v)", entries, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), target) {
		v.t.Errorf("a mount is left (%v):\n%s", err, mounts)
	}
	if pids := processesNaming(v.t, target); len(pids) > 0 {
		v.t.Errorf("processes left: %v", pids)
	}
}

// server is the process that serves the volume.
func (v *testVolume) server() int {
	v.t.Helper()
	pid, err := target(v.mount.TargetPath).server()
	if err != nil || pid == 0 {
		v.t.Fatalf("no process serves %s (%v)", v.mount.TargetPath, err)
	}
	return pid
}

// processesNaming returns the commands with a path among their arguments. One
// that was killed needs a moment.
func processesNaming(t *testing.T, path string) (found []string) {
	t.Helper()
	for range 100 {
		files, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		found = nil
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), path) {
				found = append(found, strings.ReplaceAll(string(text), "\x00", " "))
			}
		}
		if len(found) == 0 {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return found
}
