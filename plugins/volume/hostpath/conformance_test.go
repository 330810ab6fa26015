package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pintle-io/pintle/sdk/conformance"
)

func TestConformance(t *testing.T) {
	executable := filepath.Join(t.TempDir(), "volume-hostpath")
	if output, err := exec.Command("go", "build", "-o", executable, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	source := func(path, kind string) []byte {
		b, err := json.Marshal(map[string]string{"path": path, "type": kind})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	conformance.Test(t, conformance.Options{
		Executable: executable,
		Volume: &conformance.VolumeOptions{
			Source:  source(t.TempDir(), "Directory"),
			Invalid: [][]byte{source("relative", ""), source("/tmp", "Folder"), []byte(`{"paths": "/tmp"}`)},
			Missing: [][]byte{source(nowhere, "Directory"), source(nowhere, "File"), source(nowhere, "Socket")},
		},
	})
}
