package engine

import (
	_ "embed"
	"net/url"
	"strings"

	"github.com/pintle-io/pintle/sdk/errs"
)

// Schema is the JSON Schema of Config.
//
//go:embed config.schema.json
var schema []byte

// Schema returns the JSON Schema of the configuration.
func Schema() []byte { return schema }

// Config is the operator's configuration. Every field may be left out.
type Config struct {
	// Address of containerd's socket. Empty: see package daemon.
	Address string `json:"address"`
	// OwnDaemon starts a containerd of our own even where the system's runs.
	OwnDaemon bool `json:"ownDaemon"`
	// Namespace in containerd, by default "pintle".
	Namespace string `json:"namespace"`
	// Snapshotter, by default "overlayfs" where it works, else "native".
	Snapshotter string `json:"snapshotter"`
	// Runtime is the shim, by default "io.containerd.runc.v2".
	Runtime string `json:"runtime"`
	// Handlers are further runtimes that a RuntimeClass may select by name.
	Handlers map[string]Handler `json:"handlers"`
	// Mirrors are URLs that are asked before a registry, in order, by the
	// registry's name ("docker.io"); "*" is for every registry.
	Mirrors map[string][]string `json:"mirrors"`
	// InsecureRegistries are spoken to over plain HTTP: "registry.local:5000".
	InsecureRegistries []string `json:"insecureRegistries"`
	// CertsDir has a folder a registry with a hosts.toml, as containerd's
	// "config_path" has; it is used in place of mirrors and insecureRegistries.
	CertsDir string `json:"certsDir"`
}

// Handler is a runtime besides the default one.
type Handler struct {
	// Runtime is the shim; empty for the default one.
	Runtime string `json:"runtime"`
	// Binary is the OCI runtime that the shim executes: "crun".
	Binary string `json:"binary"`
}

const (
	defaultNamespace = "pintle"
	defaultRuntime   = "io.containerd.runc.v2"
)

func (c *Config) complete() error {
	if c.Namespace == "" {
		c.Namespace = defaultNamespace
	}
	if c.Runtime == "" {
		c.Runtime = defaultRuntime
	}
	if c.Address != "" && c.OwnDaemon {
		return errs.InvalidArgument("address and ownDaemon exclude each other")
	}
	for registry, mirrors := range c.Mirrors {
		for i, mirror := range mirrors {
			u, err := url.Parse(mirror)
			if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
				return errs.InvalidArgument("mirrors[%q][%d]: %q is not a URL like https://mirror.example.com", registry, i, mirror)
			}
		}
	}
	for i, host := range c.InsecureRegistries {
		if host == "" || strings.Contains(host, "/") {
			return errs.InvalidArgument("insecureRegistries[%d]: %q is not a host like registry.local:5000", i, host)
		}
	}
	for name := range c.Handlers {
		if name == "" {
			return errs.InvalidArgument("handlers: a handler needs a name; the default one is set by runtime")
		}
	}
	return nil
}
