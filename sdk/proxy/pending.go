package proxy

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

// pending is the state as received with what the implementation was not told
// yet. Its size is that of the cluster's services; merging is what bounds it.
type pending struct {
	mu       sync.Mutex
	services map[string]*Service
	revision uint64
	changed  map[string]bool
	all      bool
	started  bool
	// asked says that a request arrived since the last state: it wants an
	// answer even where it changed nothing.
	asked     bool
	closed    bool
	notBefore time.Time
	wake      chan struct{}
}

func newPending() *pending {
	return &pending{services: map[string]*Service{}, changed: map[string]bool{}, wake: make(chan struct{}, 1)}
}

func (p *pending) merge(req *pluginv1.SyncProxyRequest) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case req.GetFull():
		p.services, p.all, p.started = map[string]*Service{}, true, true
	case !p.started:
		return errs.InvalidArgument("the first request of a stream must have full set")
	}
	for _, service := range req.GetSet() {
		key := service.GetNamespace() + "/" + service.GetName()
		p.services[key], p.changed[key] = service, true
	}
	for _, key := range req.GetRemoved() {
		delete(p.services, key)
		p.changed[key] = true
	}
	p.revision, p.notBefore, p.asked = req.GetRevision(), time.Time{}, true
	p.signal()
	return nil
}

// next waits for a state that was not handed out before.
func (p *pending) next(ctx context.Context) (*State, bool) {
	for {
		p.mu.Lock()
		var delay <-chan time.Time
		if p.all || p.asked || len(p.changed) > 0 {
			wait := time.Until(p.notBefore)
			if wait <= 0 {
				state := &State{
					Revision: p.revision, Services: maps.Clone(p.services),
					Changed: slices.Sorted(maps.Keys(p.changed)), All: p.all,
				}
				p.changed, p.all, p.asked = map[string]bool{}, false, false
				p.mu.Unlock()
				return state, true
			}
			delay = time.After(wait)
		}
		closed := p.closed
		p.mu.Unlock()
		if closed {
			return nil, false
		}
		select {
		case <-p.wake:
		case <-delay:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// again puts back what a failed Sync did not do.
func (p *pending) again(state *State, after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all, p.asked = p.all || state.All, true
	for _, key := range state.Changed {
		p.changed[key] = true
	}
	if p.revision == state.Revision {
		p.notBefore = time.Now().Add(after)
	}
}

// redo hands out the whole state again.
func (p *pending) redo() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started {
		p.all = true
		p.signal()
	}
}

func (p *pending) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.signal()
}

func (p *pending) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
