package engine

import (
	"context"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/cgroup"
)

// claimCgroup makes the cgroup of a sandbox. Sandboxes of one pod, one after
// the other, have the same.
func (e *Engine) claimCgroup(ctx context.Context, s *sandbox) error {
	group := s.create.GetCgroupParent()
	unlock, err := e.verbs.lock(ctx, "cgroup "+group)
	if err != nil {
		return err
	}
	defer unlock()
	if err := e.noteCgroups(group); err != nil {
		return err
	}
	e.useCgroup(group, s.id)
	return cgroup.Create(group, cgroup.Resources(s.create.GetResources()))
}

// useCgroup notes that a sandbox has a cgroup.
func (e *Engine) useCgroup(group, sandboxID string) {
	e.cgroupsMu.Lock()
	defer e.cgroupsMu.Unlock()
	if e.cgroupUsers == nil {
		e.cgroupUsers = map[string]map[string]bool{}
	}
	if e.cgroupUsers[group] == nil {
		e.cgroupUsers[group] = map[string]bool{}
	}
	e.cgroupUsers[group][sandboxID] = true
}

// releaseCgroup removes the cgroup of a sandbox, with whatever still runs in
// it, unless another sandbox of the pod has it.
func (e *Engine) releaseCgroup(ctx context.Context, s *sandbox) error {
	group := s.create.GetCgroupParent()
	if group == "" {
		return nil
	}
	unlock, err := e.verbs.lock(ctx, "cgroup "+group)
	if err != nil {
		return err
	}
	defer unlock()
	e.cgroupsMu.Lock()
	users := e.cgroupUsers[group]
	delete(users, s.id)
	others := len(users) > 0
	if !others {
		delete(e.cgroupUsers, group)
	}
	e.cgroupsMu.Unlock()
	if others {
		return nil
	}
	return cgroup.Remove(group)
}
