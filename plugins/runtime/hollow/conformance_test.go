package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pintle-io/pintle/sdk/conformance"
)

func TestConformance(t *testing.T) {
	executable := filepath.Join(t.TempDir(), "runtime-hollow")
	build := exec.Command("go", "build", "-o", executable, ".")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		t.Fatal(err)
	}
	conformance.Test(t, conformance.Options{
		Executable: executable,
		Runtime:    &conformance.RuntimeOptions{Simulated: true},
	})
}
