package runtimeview

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/pintle-io/pintle/core/node/internal/plugins"
	"github.com/pintle-io/pintle/core/node/internal/podspec"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// View of the runtime. Its messages are shared and must not be changed.
type View struct {
	plugins plugins.Lookup
	log     *slog.Logger
	notify  func(types.UID)

	refresh refreshSet

	mu         sync.Mutex
	seq        uint64
	sandboxes  map[string]entry[*pluginv1.Sandbox]
	containers map[string]entry[*pluginv1.Container]
	byPod      map[types.UID]*ids
	gone       map[string]uint64 // ID to the seq at which it went
	listed     bool
	lastErr    error
	lastList   time.Time
}

type entry[T any] struct {
	value T
	seq   uint64
	uid   types.UID
}

type ids struct {
	sandboxes, containers map[string]struct{}
}

// Pod is what the runtime has of one pod, the newest first.
type Pod struct {
	Sandboxes  []*pluginv1.Sandbox
	Containers []*pluginv1.Container
}

// New makes a view that calls notify, which must not block, with a pod's UID
// after something of the pod changed, and with an empty one after the first
// listing.
func New(lookup plugins.Lookup, log *slog.Logger, notify func(types.UID)) *View {
	return &View{
		plugins: lookup, log: log, notify: notify,
		refresh:    newRefreshSet(),
		sandboxes:  map[string]entry[*pluginv1.Sandbox]{},
		containers: map[string]entry[*pluginv1.Container]{},
		byPod:      map[types.UID]*ids{},
		gone:       map[string]uint64{},
	}
}

// Listed says whether everything was listed at least once.
func (v *View) Listed() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.listed
}

// Health is the error of the last listing, or nil, and when the last one
// succeeded.
func (v *View) Health() (lastList time.Time, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.lastList, v.lastErr
}

// Pod returns what the runtime has of a pod.
func (v *View) Pod(uid types.UID) Pod {
	v.mu.Lock()
	defer v.mu.Unlock()
	p := v.byPod[uid]
	if p == nil {
		return Pod{}
	}
	out := Pod{}
	for id := range p.sandboxes {
		out.Sandboxes = append(out.Sandboxes, v.sandboxes[id].value)
	}
	for id := range p.containers {
		out.Containers = append(out.Containers, v.containers[id].value)
	}
	slices.SortFunc(out.Sandboxes, func(a, b *pluginv1.Sandbox) int {
		return cmp.Or(cmp.Compare(b.Attempt, a.Attempt), b.CreatedAt.AsTime().Compare(a.CreatedAt.AsTime()), cmp.Compare(a.Id, b.Id))
	})
	slices.SortFunc(out.Containers, func(a, b *pluginv1.Container) int {
		return cmp.Or(cmp.Compare(b.Attempt, a.Attempt), b.CreatedAt.AsTime().Compare(a.CreatedAt.AsTime()), cmp.Compare(a.Id, b.Id))
	})
	return out
}

// Pods returns the UIDs of all pods of which the runtime has something.
func (v *View) Pods() []types.UID {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := make([]types.UID, 0, len(v.byPod))
	for uid := range v.byPod {
		out = append(out, uid)
	}
	return out
}

// Container returns one container.
func (v *View) Container(id string) (*pluginv1.Container, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e, ok := v.containers[id]
	return e.value, ok
}

// Sandboxes returns all sandboxes.
func (v *View) Sandboxes() []*pluginv1.Sandbox {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := make([]*pluginv1.Sandbox, 0, len(v.sandboxes))
	for _, e := range v.sandboxes {
		out = append(out, e.value)
	}
	return out
}

// Containers returns all containers.
func (v *View) Containers() []*pluginv1.Container {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := make([]*pluginv1.Container, 0, len(v.containers))
	for _, e := range v.containers {
		out = append(out, e.value)
	}
	return out
}

// PutSandbox takes over what a call answered.
func (v *View) PutSandbox(s *pluginv1.Sandbox) {
	v.mu.Lock()
	v.seq++
	uid := v.putSandbox(s, v.seq)
	v.mu.Unlock()
	v.tell(uid)
}

// PutContainer takes over what a call answered.
func (v *View) PutContainer(c *pluginv1.Container) {
	v.mu.Lock()
	v.seq++
	uid := v.putContainer(c, v.seq)
	v.mu.Unlock()
	v.tell(uid)
}

// Forget drops what was removed, by its ID, with all containers of a sandbox.
func (v *View) Forget(id string) {
	v.mu.Lock()
	v.seq++
	uid := v.drop(id)
	v.mu.Unlock()
	v.tell(uid)
}

func (v *View) tell(uids ...types.UID) {
	for _, uid := range uids {
		if uid != "" {
			v.notify(uid)
		}
	}
}

func (v *View) pod(uid types.UID) *ids {
	p := v.byPod[uid]
	if p == nil {
		p = &ids{sandboxes: map[string]struct{}{}, containers: map[string]struct{}{}}
		v.byPod[uid] = p
	}
	return p
}

// putSandbox returns the pod where something changed.
func (v *View) putSandbox(s *pluginv1.Sandbox, seq uint64) types.UID {
	if _, ok := v.gone[s.Id]; ok {
		return ""
	}
	uid := types.UID(s.GetPod().GetUid())
	if uid == "" {
		uid = types.UID(s.Labels[podspec.LabelPodUID])
	}
	old, ok := v.sandboxes[s.Id]
	if ok && old.value.State > s.State {
		s = old.value // stopped never becomes ready again
	}
	v.sandboxes[s.Id] = entry[*pluginv1.Sandbox]{s, seq, uid}
	v.pod(uid).sandboxes[s.Id] = struct{}{}
	if ok && old.value.State == s.State {
		return ""
	}
	return uid
}

func (v *View) putContainer(c *pluginv1.Container, seq uint64) types.UID {
	if _, ok := v.gone[c.Id]; ok {
		return ""
	}
	uid := types.UID(c.Labels[podspec.LabelPodUID])
	if uid == "" {
		uid = v.sandboxes[c.SandboxId].uid
	}
	old, ok := v.containers[c.Id]
	if ok && rank(old.value.State) > rank(c.State) {
		c = old.value
	}
	v.containers[c.Id] = entry[*pluginv1.Container]{c, seq, uid}
	v.pod(uid).containers[c.Id] = struct{}{}
	if ok && old.value.State == c.State && old.value.Reason == c.Reason {
		return ""
	}
	return uid
}

// rank orders states in time.
func rank(s pluginv1.Container_State) int {
	switch s {
	case pluginv1.Container_STATE_EXITED:
		return 3
	case pluginv1.Container_STATE_RUNNING, pluginv1.Container_STATE_UNKNOWN:
		return 2
	case pluginv1.Container_STATE_CREATED:
		return 1
	}
	return 0
}

func (v *View) drop(id string) types.UID {
	v.gone[id] = v.seq
	if e, ok := v.containers[id]; ok {
		delete(v.containers, id)
		v.unlink(e.uid, id)
		return e.uid
	}
	if e, ok := v.sandboxes[id]; ok {
		delete(v.sandboxes, id)
		if p := v.byPod[e.uid]; p != nil {
			for cid := range p.containers {
				if v.containers[cid].value.SandboxId == id {
					v.gone[cid] = v.seq
					delete(v.containers, cid)
					delete(p.containers, cid)
				}
			}
		}
		v.unlink(e.uid, id)
		return e.uid
	}
	return ""
}

func (v *View) unlink(uid types.UID, id string) {
	p := v.byPod[uid]
	if p == nil {
		return
	}
	delete(p.sandboxes, id)
	delete(p.containers, id)
	if len(p.sandboxes) == 0 && len(p.containers) == 0 {
		delete(v.byPod, uid)
	}
}
