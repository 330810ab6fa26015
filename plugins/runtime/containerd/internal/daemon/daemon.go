package daemon

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	containerd "github.com/containerd/containerd/v2/client"

	"github.com/pintle-io/pintle/sdk/errs"
)

// SystemAddress is where the distribution's containerd listens.
const SystemAddress = "/run/containerd/containerd.sock"

// answerTimeout is how long a containerd may take to say that it is there.
const answerTimeout = 5 * time.Second

// Options say where to look and where to put one of our own.
type Options struct {
	// Address is the socket to use, whatever else is there.
	Address string
	// Own wants a containerd of our own even where the system's answers.
	Own bool
	// StateDir and RunDir are the plugin's.
	StateDir, RunDir string
}

// Daemon is a containerd that answers.
type Daemon struct {
	Address string
	Version string
	// Own says whether it was started by us.
	Own bool
}

// Find returns a containerd that answers, starting one where the rule of this
// package says so.
func Find(ctx context.Context, o Options) (*Daemon, error) {
	if o.Address != "" {
		version, err := Probe(ctx, o.Address)
		if err != nil {
			return nil, errs.FailedPrecondition("containerd does not answer at %s: %w", o.Address, err).
				WithReason("ContainerdUnavailable").WithHint("check that it runs and that the address in the plugin's configuration is right")
		}
		return &Daemon{Address: o.Address, Version: version}, nil
	}
	own := newOwn(o)
	if !o.Own && !own.exists() {
		if version, err := Probe(ctx, SystemAddress); err == nil {
			return &Daemon{Address: SystemAddress, Version: version}, nil
		}
	}
	version, err := own.ensure(ctx)
	if err != nil {
		return nil, err
	}
	return &Daemon{Address: own.address, Version: version, Own: true}, nil
}

// Probe asks the containerd at an address for its version.
func Probe(ctx context.Context, address string) (string, error) {
	// A dial would wait for a socket that is not there to appear.
	if _, err := os.Stat(address); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	client, err := containerd.New(address, containerd.WithTimeout(answerTimeout))
	if err != nil {
		return "", err
	}
	defer func() { _ = client.Close() }()
	version, err := client.Version(ctx)
	if err != nil {
		return "", err
	}
	return version.Version, nil
}

// programs are what a containerd of our own needs beside itself.
func programs() []string { return []string{"containerd", "containerd-shim-runc-v2", "runc"} }

func lookPrograms() error {
	for _, name := range programs() {
		if _, err := exec.LookPath(name); err != nil {
			return errs.FailedPrecondition("no containerd answers at %s and %s is not installed", SystemAddress, name).
				WithReason("ContainerdMissing").
				WithHint("apt-get install containerd runc (Debian, Ubuntu), or dnf install containerd runc (Fedora); then it is found by itself")
		}
	}
	return nil
}

func join(dir string, elems ...string) string {
	return filepath.Join(append([]string{dir, "containerd"}, elems...)...)
}

func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// Exists says whether there is a containerd that the plugin may have used, or
// the files of one, without starting it.
func Exists(ctx context.Context, o Options) bool {
	if newOwn(o).exists() {
		return true
	}
	address := o.Address
	if address == "" {
		address = SystemAddress
	}
	_, err := Probe(ctx, address)
	return err == nil && !o.Own
}
