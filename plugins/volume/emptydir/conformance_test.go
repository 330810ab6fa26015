package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pintle-io/pintle/sdk/conformance"
)

func TestConformance(t *testing.T) {
	executable := filepath.Join(t.TempDir(), "volume-emptydir")
	if output, err := exec.Command("go", "build", "-o", executable, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for name, source := range map[string]string{
		"disk":   `{}`,
		"memory": `{"medium": "Memory", "sizeLimit": "8Mi"}`,
	} {
		t.Run(name, func(t *testing.T) {
			conformance.Test(t, conformance.Options{
				Executable: executable,
				Volume: &conformance.VolumeOptions{
					Source: []byte(source), Private: true,
					Invalid: [][]byte{[]byte(`{"medium": "Paper"}`), []byte(`{"size": 1}`), []byte(`{"medium"`)},
				},
			})
		})
	}
}
