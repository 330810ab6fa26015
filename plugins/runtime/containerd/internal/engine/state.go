package engine

import (
	"os"
	"sync"

	"github.com/containerd/containerd/v2/core/mount"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/runtime"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/output"
)

// table is what there is, by ID.
type table struct {
	mu         sync.RWMutex
	sandboxes  map[string]*sandbox
	containers map[string]*container
}

func newTable() *table {
	return &table{sandboxes: map[string]*sandbox{}, containers: map[string]*container{}}
}

func (t *table) sandbox(id string) *sandbox {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.sandboxes[id]
}

func (t *table) container(id string) *container {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.containers[id]
}

func (t *table) putSandbox(s *sandbox) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sandboxes[s.id] = s
}

func (t *table) putContainer(c *container) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.containers[c.id] = c
}

func (t *table) dropSandbox(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sandboxes, id)
}

func (t *table) dropContainer(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.containers, id)
}

func (t *table) allSandboxes() []*sandbox {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]*sandbox, 0, len(t.sandboxes))
	for _, s := range t.sandboxes {
		all = append(all, s)
	}
	return all
}

// containersOf returns the containers of a sandbox, or all where it is empty.
func (t *table) containersOf(sandboxID string) []*container {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var all []*container
	for _, c := range t.containers {
		if sandboxID == "" || c.rec.SandboxID == sandboxID {
			all = append(all, c)
		}
	}
	return all
}

// sandbox is a pod's shared part. What create holds never changes.
type sandbox struct {
	id     string
	create *runtime.CreateSandboxRequest

	mu   sync.Mutex
	info *runtime.Sandbox
	// holder is the process that keeps a shared process namespace: see
	// holder.go.
	holder uint32
}

// snapshot returns what is known now; it is never changed, only replaced.
func (s *sandbox) snapshot() *runtime.Sandbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.info
}

func (s *sandbox) ready() bool {
	return s.snapshot().GetState() == pluginv1.Sandbox_STATE_READY
}

func (s *sandbox) setState(state pluginv1.Sandbox_State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info := proto.CloneOf(s.info)
	info.State = state
	s.info = info
}

// container is one run of an image. What rec holds never changes.
type container struct {
	id  string
	rec *record
	// exited is closed when the state becomes EXITED.
	exited chan struct{}

	mu   sync.Mutex
	info *runtime.Container
	// starting is set while StartContainer works, and closed at its end: an
	// exit that arrives meanwhile waits for it, so that events keep their order.
	starting chan struct{}
	ending   bool
	mounts   []mount.Mount
	process  *specs.Process
	streams  *output.Streams
	stdin    *os.File
}

func newContainer(rec *record, info *runtime.Container) *container {
	return &container{id: info.GetId(), rec: rec, info: info, exited: make(chan struct{})}
}

// snapshot returns what is known now; it is never changed, only replaced.
func (c *container) snapshot() *runtime.Container {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.info
}

func (c *container) state() pluginv1.Container_State { return c.snapshot().GetState() }

// update replaces what is known.
func (c *container) update(change func(*runtime.Container)) *runtime.Container {
	c.mu.Lock()
	defer c.mu.Unlock()
	info := proto.CloneOf(c.info)
	change(info)
	c.info = info
	return info
}
