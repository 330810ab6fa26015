package runtimeview

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

const (
	// relistPeriod is how long a lost event can stay unnoticed.
	relistPeriod = time.Minute
	listTimeout  = 30 * time.Second
	retryPeriod  = time.Second
	// manyContainers is from where one listing is cheaper than asking for each.
	manyContainers = 16
	// tombstones are kept for listings that began before a removal; far more
	// than the longest of them takes.
	tombstoneAge = 1 << 16
)

// refreshSet collects what is to be asked for.
type refreshSet struct {
	mu   *sync.Mutex
	ids  map[string]struct{}
	all  bool
	wake chan struct{}
}

func newRefreshSet() refreshSet {
	return refreshSet{mu: &sync.Mutex{}, ids: map[string]struct{}{}, wake: make(chan struct{}, 1)}
}

func (r *refreshSet) add(id string) {
	r.mu.Lock()
	if id == "" {
		r.all = true
	} else {
		r.ids[id] = struct{}{}
	}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *refreshSet) take() (ids []string, all bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all = r.all || len(r.ids) > manyContainers
	if !all {
		for id := range r.ids {
			ids = append(ids, id)
		}
	}
	clear(r.ids)
	r.all = false
	return ids, all
}

// Run follows the runtime until ctx ends.
func (v *View) Run(ctx context.Context) {
	changed := make(chan struct{}, 1)
	unsubscribe := v.plugins.Subscribe(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer unsubscribe()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { v.refreshLoop(ctx) })
	for ctx.Err() == nil {
		err := v.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		v.mu.Lock()
		v.lastErr = err
		v.mu.Unlock()
		v.log.Debug("runtime events ended", "error", err)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(retryPeriod):
		}
	}
}

// follow reads events until they end.
func (v *View) follow(ctx context.Context) error {
	rt, err := v.plugins.Runtime()
	if err != nil {
		return err
	}
	err = rt.Events(ctx, &pluginv1.EventsRequest{}, func(e *pluginv1.EventsResponse) error {
		if e.Type == pluginv1.EventsResponse_TYPE_READY {
			v.refresh.add("")
		} else if e.ContainerId != "" {
			v.refresh.add(e.ContainerId)
		} else {
			v.refresh.add("")
		}
		return nil
	})
	if err == nil {
		err = errs.Unavailable("the runtime plugin ended its event stream")
	}
	return err
}

func (v *View) refreshLoop(ctx context.Context) {
	tick := time.NewTicker(relistPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			v.refresh.add("")
		case <-v.refresh.wake:
		}
		ids, all := v.refresh.take()
		var err error
		if all {
			err = v.Relist(ctx)
		}
		for _, id := range ids {
			if e := v.Refresh(ctx, id); e != nil {
				err = e
			}
		}
		if err != nil && ctx.Err() == nil {
			v.log.Warn("listing the runtime's containers failed, it is repeated", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(retryPeriod):
			}
			v.refresh.add("")
		}
	}
}

// Refresh asks for one container.
func (v *View) Refresh(ctx context.Context, id string) error {
	rt, err := v.plugins.Runtime()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	v.mu.Lock()
	v.seq++
	began := v.seq
	v.mu.Unlock()
	res, err := rt.ListContainers(ctx, &pluginv1.ListContainersRequest{ContainerId: id})
	if err != nil {
		return err
	}
	v.mu.Lock()
	var uid types.UID
	if len(res.Containers) == 0 {
		if e, ok := v.containers[id]; ok && e.seq <= began {
			uid = v.drop(id)
		}
	}
	for _, c := range res.Containers {
		v.seq++
		uid = v.putContainer(c, v.seq)
	}
	v.mu.Unlock()
	v.tell(uid)
	return nil
}

// RefreshSandbox asks for one sandbox: their ends have no events.
func (v *View) RefreshSandbox(ctx context.Context, id string) error {
	rt, err := v.plugins.Runtime()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	v.mu.Lock()
	began := v.seq
	v.mu.Unlock()
	res, err := rt.ListSandboxes(ctx, &pluginv1.ListSandboxesRequest{SandboxId: id})
	if err != nil {
		return err
	}
	v.mu.Lock()
	uid, found := types.UID(""), false
	for _, s := range res.Sandboxes {
		if s.Id == id {
			found = true
			v.seq++
			uid = v.putSandbox(s, v.seq)
		}
	}
	if e, ok := v.sandboxes[id]; ok && !found && e.seq <= began {
		uid = v.drop(id)
	}
	v.mu.Unlock()
	v.tell(uid)
	return nil
}

// Relist asks for everything.
func (v *View) Relist(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	defer func() {
		v.mu.Lock()
		first := v.lastList.IsZero()
		news := first && err == nil || (v.lastErr == nil) != (err == nil)
		if v.lastErr = err; err == nil {
			v.lastList = time.Now()
		}
		v.mu.Unlock()
		if news {
			v.notify("")
		}
	}()
	rt, err := v.plugins.Runtime()
	if err != nil {
		return err
	}
	v.mu.Lock()
	v.seq++
	began := v.seq
	v.mu.Unlock()
	sandboxes, err := rt.ListSandboxes(ctx, &pluginv1.ListSandboxesRequest{})
	if err != nil {
		return err
	}
	containers, err := rt.ListContainers(ctx, &pluginv1.ListContainersRequest{})
	if err != nil {
		return err
	}
	changed := map[types.UID]struct{}{}
	v.mu.Lock()
	seen := map[string]struct{}{}
	v.seq++
	for _, s := range sandboxes.Sandboxes {
		seen[s.Id] = struct{}{}
		changed[v.putSandbox(s, v.seq)] = struct{}{}
	}
	for _, c := range containers.Containers {
		seen[c.Id] = struct{}{}
		changed[v.putContainer(c, v.seq)] = struct{}{}
	}
	for id, e := range v.containers {
		if _, ok := seen[id]; !ok && e.seq <= began {
			changed[v.drop(id)] = struct{}{}
		}
	}
	for id, e := range v.sandboxes {
		if _, ok := seen[id]; !ok && e.seq <= began {
			changed[v.drop(id)] = struct{}{}
		}
	}
	for id, at := range v.gone {
		if at+tombstoneAge < v.seq {
			delete(v.gone, id)
		}
	}
	v.listed = true
	v.mu.Unlock()
	delete(changed, "")
	for uid := range changed {
		v.tell(uid)
	}
	return nil
}
