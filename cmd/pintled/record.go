package main

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/pintle-io/pintle/core/host"
	"github.com/pintle-io/pintle/core/host/manager"
)

// pluginRecord is what "pintled reset" needs to run a node's plugin again
// without a server: the host's specification of it.
type pluginRecord struct{ Spec host.Spec }

const recordEnding = ".json"

// recordPlugins keeps a record of each plugin that runs on the node, until the
// machine is reset.
func recordPlugins(p *paths, log *slog.Logger) func(manager.Change) {
	return func(c manager.Change) {
		defer c.Release()
		if c.Instance == nil {
			return
		}
		spec := c.Instance.Spec()
		content, err := json.Marshal(pluginRecord{spec})
		if err == nil {
			err = replaceFile(p.nodePlugins(strings.ReplaceAll(spec.ID(), "/", "-")+recordEnding), content)
		}
		if err != nil {
			log.Error("keeping a record of a plugin failed: reset will not know of it", "plugin", spec.ID(), "err", err)
		}
	}
}

// replaceFile writes a file whole or not at all, whenever the process ends.
func replaceFile(path string, content []byte) error {
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// recordedPlugins reads the records.
func recordedPlugins(p *paths) ([]host.Spec, error) {
	files, err := filepath.Glob(p.nodePlugins("*" + recordEnding))
	if err != nil {
		return nil, err
	}
	var specs []host.Spec
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var r pluginRecord
		if err := json.Unmarshal(content, &r); err != nil {
			return nil, err
		}
		specs = append(specs, r.Spec)
	}
	return specs, nil
}
