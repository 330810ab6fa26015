package manager

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/pintle-io/pintle/core/host"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	pintlev1 "github.com/pintle-io/pintle/sdk/api/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// identity is what a plugin is found by.
type identity struct {
	kind pluginv1.PluginType
	name string
}

func (i identity) String() string { return plugin.TypeName(i.kind) + "/" + i.name }

// identify returns the identity that an object claims.
func identify(p *pintlev1.Plugin) (identity, error) {
	kind, err := plugin.ParseType(string(p.Spec.Type))
	if err != nil {
		return identity{}, errs.New(errs.ClassInvalidArgument, host.ReasonWrongType, "", fmt.Errorf("spec.type: %w", err))
	}
	name := p.Spec.Name
	if name == "" {
		name = p.Name
	}
	if err := plugin.CheckName(name); err != nil {
		return identity{}, errs.New(errs.ClassInvalidArgument, host.ReasonWrongName, "", fmt.Errorf("spec.name: %w", err))
	}
	return identity{kind: kind, name: name}, nil
}

// wants reports whether this manager should run the plugin.
func (m *Manager) wants(p *pintlev1.Plugin) bool {
	kind, err := plugin.ParseType(string(p.Spec.Type))
	if err != nil {
		// Nobody runs it; the server says so.
		return m.opts.NodeName == ""
	}
	if !slices.Contains(m.opts.Types, kind) || p.Spec.Mode == pintlev1.PluginDisabled || p.DeletionTimestamp != nil {
		return false
	}
	if m.opts.NodeName == "" || len(p.Spec.NodeSelector) == 0 {
		return true
	}
	var own labels.Set
	if m.opts.NodeLabels != nil {
		own = m.opts.NodeLabels()
	}
	return labels.SelectorFromSet(p.Spec.NodeSelector).Matches(own)
}

// specOf turns an object into what the host runs.
func (m *Manager) specOf(p *pintlev1.Plugin, id identity) (host.Spec, error) {
	path, err := m.executable(p.Spec.Executable, id)
	if err != nil {
		return host.Spec{}, err
	}
	spec := host.Spec{Type: id.kind, Name: id.name, Executable: path, SHA256: p.Spec.SHA256, SchedulerName: p.Spec.SchedulerName}
	if p.Spec.Config != nil {
		spec.Config = p.Spec.Config.Raw
	}
	if m.opts.NodeName != "" {
		if spec.Node, err = m.nodeInfo(id); err != nil {
			return host.Spec{}, err
		}
	}
	return spec, nil
}

func (m *Manager) executable(name string, id identity) (string, error) {
	if filepath.IsAbs(name) {
		return filepath.Clean(name), nil
	}
	if name == "" {
		name = plugin.TypeName(id.kind) + "-" + id.name
	}
	if strings.ContainsRune(name, filepath.Separator) || name == "." || name == ".." {
		return "", errs.InvalidArgument("spec.executable %q is neither an absolute path nor a file name", name).
			WithReason(host.ReasonExecutableNotFound)
	}
	if m.opts.PluginDir == "" {
		return "", errs.InvalidArgument("spec.executable %q is no absolute path, and no plugin directory is set", name).
			WithReason(host.ReasonExecutableNotFound)
	}
	return filepath.Join(m.opts.PluginDir, name), nil
}

// nodeInfo returns the node with the plugin's own directories, which it makes.
func (m *Manager) nodeInfo(id identity) (*pluginv1.NodeInfo, error) {
	info := proto.CloneOf(m.opts.NodeInfo())
	if info == nil {
		return nil, errs.Unavailable("the node is not known yet")
	}
	own := plugin.TypeName(id.kind) + "-" + id.name
	info.StateDir = filepath.Join(m.opts.StateDir, own)
	info.RunDir = filepath.Join(m.opts.RunDir, own)
	for _, dir := range []string{info.StateDir, info.RunDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make a directory for plugin %s: %w", id, err)
		}
	}
	return info, nil
}

// sameSpec reports whether two specs run the same.
func sameSpec(a, b host.Spec) bool {
	return a.Type == b.Type && a.Name == b.Name && a.Executable == b.Executable && a.SchedulerName == b.SchedulerName &&
		strings.EqualFold(a.SHA256, b.SHA256) &&
		bytes.Equal(a.Config, b.Config) && proto.Equal(a.Node, b.Node) && slices.Equal(a.Env, b.Env)
}
