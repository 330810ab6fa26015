package engine

import (
	"encoding/json"
	"fmt"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/typeurl/v2"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/pintle-io/pintle/sdk/runtime"
)

// Labels of containerd's records, and the name of our extension of them.
const (
	labelKind    = "pintle.io/kind"
	labelSandbox = "pintle.io/sandbox"
	kindApp      = "container"
	kindHolder   = "pid-holder"

	extension = "pintle.io/container"
	// recordType has the version of the format of record.
	recordType = "pintle.io/runtime/container/v1"
)

// record is what containerd keeps for us with a container, beside what it
// knows itself.
type record struct {
	SandboxID string `json:"sandbox"`
	// Container as it was created, and its sandbox, so that a sandbox whose
	// directory is gone is still known by its containers.
	Container json.RawMessage `json:"container"`
	Sandbox   json.RawMessage `json:"sandboxInfo"`

	CgroupPath   string `json:"cgroup"`
	CgroupParent string `json:"cgroupParent"`
	StopSignal   string `json:"stopSignal"`
	SnapshotKey  string `json:"snapshot"`
	TTY          bool   `json:"tty,omitempty"`
	Stdin        bool   `json:"stdin,omitempty"`
	StdinOnce    bool   `json:"stdinOnce,omitempty"`
}

func (r *record) encode() (map[string]typeurl.Any, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return map[string]typeurl.Any{extension: &anypb.Any{TypeUrl: recordType, Value: data}}, nil
}

// decodeRecord reads the extension of a record of containerd, and the container
// as it was created.
func decodeRecord(c containers.Container) (*record, *runtime.Container, error) {
	ext := c.Extensions[extension]
	if ext == nil {
		return nil, nil, fmt.Errorf("container %s has no extension %s", c.ID, extension)
	}
	if ext.GetTypeUrl() != recordType {
		return nil, nil, fmt.Errorf("container %s was made by a newer version of this plugin: its record is a %s", c.ID, ext.GetTypeUrl())
	}
	rec := &record{}
	if err := json.Unmarshal(ext.GetValue(), rec); err != nil {
		return nil, nil, fmt.Errorf("container %s: read its record: %w", c.ID, err)
	}
	info := &runtime.Container{}
	if err := unmarshal(rec.Container, info); err != nil {
		return nil, nil, fmt.Errorf("container %s: read its record: %w", c.ID, err)
	}
	return rec, info, nil
}

// unmarshal reads messages that a newer version of this plugin may have written.
var unmarshal = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal
