package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/pflag"
)

// paths are the directories of one pintled. Everything that it makes on the
// machine lies below them, or is named in them.
type paths struct {
	state, run, plugins string
}

const defaultStateDir = "/var/lib/pintle"

func (p *paths) addTo(flags *pflag.FlagSet) {
	flags.StringVar(&p.state, "state-dir", envOr("PINTLE_STATE_DIR", defaultStateDir), "directory of everything that outlives a restart of the machine (also $PINTLE_STATE_DIR)")
	flags.StringVar(&p.run, "run-dir", envOr("PINTLE_RUN_DIR", "/run/pintle"), "directory of sockets and namespaces; at most 40 bytes long (also $PINTLE_RUN_DIR)")
	flags.StringVar(&p.plugins, "plugin-dir", pluginDir(), "directory of the plugins' executables")
}

func (p *paths) store() string { return filepath.Join(p.state, "store") }
func (p *paths) pki() string   { return filepath.Join(p.state, "pki") }
func (p *paths) node() string  { return filepath.Join(p.state, "node") }

// nodePlugins is a directory of the plugins of this machine's node.
func (p *paths) nodePlugins(name string) string { return filepath.Join(p.state, "plugins", name) }
func (p *paths) kubeconfig() string             { return filepath.Join(p.state, "admin.kubeconfig") }
func (p *paths) pid() string                    { return filepath.Join(p.state, "pintled.pid") }

// maxRunDir leaves room for the names of sockets below it, see unix(7).
const maxRunDir = 40

// prepare makes the directories, and locks the state against a second pintled.
// The lock goes with the process.
func (p *paths) prepare() (*os.File, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("pintled needs root for containers, networks and mounts: run it as root, or with sudo")
	}
	if len(p.run) > maxRunDir {
		return nil, fmt.Errorf("--run-dir %s is longer than %d bytes: paths of sockets must stay below the kernel's limit", p.run, maxRunDir)
	}
	for _, dir := range []*string{&p.state, &p.run, &p.plugins} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return nil, err
		}
		*dir = abs
	}
	if _, err := os.Stat(p.plugins); err != nil {
		return nil, fmt.Errorf("--plugin-dir: %w: name the directory that \"make build\" put the plugins in", err)
	}
	for _, dir := range []string{p.state, p.run} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, err
		}
	}
	lock, err := os.OpenFile(p.pid(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		pid, _ := os.ReadFile(p.pid())
		lock.Close()
		return nil, fmt.Errorf("another pintled, process %s, uses %s: stop it, or choose another --state-dir", pid, p.state)
	}
	if err := lock.Truncate(0); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprint(lock, os.Getpid()); err != nil {
		return nil, err
	}
	return lock, nil
}

// pluginDir is beside the executable, or where a package would put it.
func pluginDir() string {
	if exe, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(exe), "plugins")
		if _, err := os.Stat(beside); err == nil {
			return beside
		}
	}
	return "/usr/libexec/pintle/plugins"
}

func envOr(name, or string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return or
}
