package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pintle-io/pintle/sdk/conformance"
)

func TestConformance(t *testing.T) {
	executable := filepath.Join(t.TempDir(), "scheduler-binpack")
	if out, err := exec.Command("go", "build", "-o", executable, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	conformance.Test(t, conformance.Options{Executable: executable})
}
