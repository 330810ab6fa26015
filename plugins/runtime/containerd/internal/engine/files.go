package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/pintle-io/pintle/sdk/runtime"
)

// files are the plugin's own: see the package comment. They are written whole
// or not at all, and without fsync: they matter only as long as the machine
// runs, or tell what is only nice to know after.
type files struct {
	state, run string
}

func (f files) sandboxDir(id string) string   { return filepath.Join(f.run, "sandboxes", id) }
func (f files) containerDir(id string) string { return filepath.Join(f.run, "containers", id) }
func (f files) outputLock() string            { return filepath.Join(f.run, "output.lock") }
func (f files) cgroups() string               { return filepath.Join(f.run, "cgroups") }
func (f files) shm(sandboxID string) string   { return filepath.Join(f.sandboxDir(sandboxID), "shm") }

func (f files) make() error {
	for _, dir := range []string{filepath.Join(f.run, "sandboxes"), filepath.Join(f.run, "containers"), filepath.Join(f.state, "exits")} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return err
		}
	}
	return nil
}

// sandboxFile is the content of sandbox.json.
type sandboxFile struct {
	Request   json.RawMessage `json:"request"`
	CreatedAt time.Time       `json:"createdAt"`
	Stopped   bool            `json:"stopped"`
	// BootID tells whether the namespaces are from before a restart of the
	// machine: random(4).
	BootID string `json:"bootID"`
}

func (f files) writeSandbox(s *sandbox, stopped bool) error {
	request, err := protojson.Marshal(s.create)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(f.sandboxDir(s.id), "sandbox.json"), sandboxFile{
		Request: request, CreatedAt: s.snapshot().GetCreatedAt().AsTime(), Stopped: stopped, BootID: bootID(),
	})
}

func (f files) readSandboxes() (map[string]*sandboxFile, error) {
	entries, err := os.ReadDir(filepath.Join(f.run, "sandboxes"))
	if err != nil {
		return nil, err
	}
	all := map[string]*sandboxFile{}
	for _, entry := range entries {
		file, err := f.readSandbox(entry.Name())
		if err != nil {
			return nil, err
		}
		all[entry.Name()] = file
	}
	return all, nil
}

// readSandbox reads one. A call that died before the sandbox was made leaves
// none: what there is gets cleared away as a stopped one's.
func (f files) readSandbox(id string) (*sandboxFile, error) {
	file := &sandboxFile{}
	err := readFile(filepath.Join(f.sandboxDir(id), "sandbox.json"), file)
	if errors.Is(err, fs.ErrNotExist) {
		return &sandboxFile{Stopped: true}, nil
	}
	return file, err
}

// startedFile is the content of started.json, which containerd can't tell.
type startedFile struct {
	At  time.Time `json:"at"`
	PID uint32    `json:"pid"`
}

func (f files) startedPath(id string) string {
	return filepath.Join(f.containerDir(id), "started.json")
}

// exitFile is how a container ended.
type exitFile struct {
	StartedAt  *time.Time `json:"startedAt,omitempty"`
	FinishedAt time.Time  `json:"finishedAt"`
	ExitCode   int32      `json:"exitCode"`
	Signal     int32      `json:"signal,omitempty"`
	Reason     string     `json:"reason"`
	Message    string     `json:"message,omitempty"`
}

func (f files) exitPath(id string) string {
	return filepath.Join(f.state, "exits", id+".json")
}

func (f files) writeExit(info *runtime.Container) error {
	exit := exitFile{
		FinishedAt: info.GetFinishedAt().AsTime(),
		ExitCode:   info.GetExitCode(), Signal: info.GetSignal(),
		Reason: info.GetReason(), Message: info.GetMessage(),
	}
	if info.GetStartedAt() != nil {
		at := info.GetStartedAt().AsTime()
		exit.StartedAt = &at
	}
	return writeFile(f.exitPath(info.GetId()), exit)
}

func (x *exitFile) apply(info *runtime.Container) {
	if x.StartedAt != nil {
		info.StartedAt = timestamppb.New(*x.StartedAt)
	}
	info.FinishedAt = timestamppb.New(x.FinishedAt)
	info.ExitCode, info.Signal = x.ExitCode, x.Signal
	info.Reason, info.Message = x.Reason, x.Message
}

func bootID() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// writeFile replaces a JSON file, so that a reader finds the old or the new one.
func writeFile(path string, content any) error {
	data, err := json.Marshal(content)
	if err != nil {
		return err
	}
	temporary := path + ".tmp"
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func readFile(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
