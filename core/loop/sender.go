package loop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/controller/stream"
)

const (
	// A Changes message ends at whichever comes first.
	maxChangeBytes = 1 << 20
	maxChanges     = 2000
	// maxWork is the number of items in one Work message.
	maxWork = 256
	// idleLook is how often the sender looks for something though nobody woke
	// it.
	idleLook = time.Minute
)

// send is the sender: it alone sends, in an order that keeps the contract:
// everything that happened, what became of decisions, then work.
func (s *session) send(ctx context.Context, conn stream.Session) error {
	start := &pluginv1.Start{Encoding: s.spec.encoding, Shadow: s.runner.opts.Shadow}
	if err := s.sendMessage(conn, &pluginv1.Observation{Observation: &pluginv1.Observation_Start{Start: start}}); err != nil {
		return err
	}
	active := make(chan struct{})
	synced, working := false, false
	timer := time.NewTimer(idleLook)
	defer timer.Stop()
	resync := s.nextResync()
	for {
		became, err := s.sendChanges(conn, synced)
		if err != nil {
			return err
		}
		if became && !synced {
			synced = true
			// Taking over waits for the instance before; changes flow meanwhile.
			s.group.Go(func() error {
				if err := s.runner.activate(ctx, s); err != nil {
					return err
				}
				close(active)
				return nil
			})
		}
		if err := s.sendOutcomes(conn); err != nil {
			return err
		}
		switch {
		case s.isDraining():
			if s.flights.len() == 0 && s.outbox.empty() {
				return s.sendMessage(conn, &pluginv1.Observation{Observation: &pluginv1.Observation_Drain{Drain: &pluginv1.Drain{}}})
			}
		case working && s.sent.Load() >= s.floor:
			if err := s.sendWork(conn); err != nil {
				return err
			}
		}
		wait := idleLook
		if working && s.flights.len() < s.spec.maxInFlight {
			if d, ok := s.runner.queue.wait(); ok {
				wait = min(wait, d)
			}
		}
		if !resync.IsZero() {
			wait = min(wait, max(time.Until(resync), 0))
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-active:
			active, working = nil, true
		case <-s.woken:
		case <-timer.C:
			if !resync.IsZero() && !time.Now().Before(resync) {
				for key := range s.keys() {
					s.runner.queue.add(key, 0)
				}
				resync = s.nextResync()
			}
		}
	}
}

// nextResync is up to a tenth later than asked, so that loops don't meet.
func (s *session) nextResync() time.Time {
	if s.spec.resync <= 0 {
		return time.Time{}
	}
	return time.Now().Add(s.spec.resync + rand.N(s.spec.resync/10+1))
}

// sendChanges sends all that happened. It returns true once the first snapshot
// is complete.
func (s *session) sendChanges(conn stream.Session, wasSynced bool) (synced bool, err error) {
	changes, revision, synced := s.pending.take()
	sent := s.sent.Load()
	if len(changes) == 0 && revision == sent && synced == wasSynced {
		return synced, nil
	}
	msg := &pluginv1.Changes{}
	size := 0
	for i := range changes {
		c := &changes[i]
		var object []byte
		if !c.deleted {
			if object, err = s.spec.watches[c.watch].narrow.encode(&c.event, s.spec.encoding); err != nil {
				return false, fmt.Errorf("send %s %s/%s: %w", s.spec.watches[c.watch].kind.GVK.Kind, c.namespace, c.name, err)
			}
		}
		if len(msg.Changes) > 0 && (size+len(object) > maxChangeBytes || len(msg.Changes) == maxChanges) {
			msg.Revision, msg.Synced = sent, wasSynced
			if err := s.sendMessage(conn, &pluginv1.Observation{Observation: &pluginv1.Observation_Changes{Changes: msg}}); err != nil {
				return false, err
			}
			msg, size = &pluginv1.Changes{}, 0
		}
		msg.Changes = append(msg.Changes, c.wire(object))
		size += len(object)
	}
	msg.Revision, msg.Synced = revision, synced
	if err := s.sendMessage(conn, &pluginv1.Observation{Observation: &pluginv1.Observation_Changes{Changes: msg}}); err != nil {
		return false, err
	}
	s.sent.Store(revision)
	s.runner.opts.Metrics.changes.WithLabelValues(s.runner.opts.Name).Add(float64(len(changes)))
	return synced, nil
}

func (s *session) sendOutcomes(conn stream.Session) error {
	outcomes := s.outbox.take()
	if len(outcomes) == 0 {
		return nil
	}
	return s.sendMessage(conn, &pluginv1.Observation{Observation: &pluginv1.Observation_Outcomes{Outcomes: &pluginv1.Outcomes{Outcomes: outcomes}}})
}

// sendWork fills the window with keys that are due.
func (s *session) sendWork(conn stream.Session) error {
	for {
		room := s.spec.maxInFlight - s.flights.len()
		if room <= 0 {
			return nil
		}
		items := s.runner.queue.next(min(room, maxWork), s.sent.Load())
		if len(items) == 0 {
			return nil
		}
		work := &pluginv1.Work{Items: make([]*pluginv1.WorkItem, 0, len(items))}
		now := s.runner.opts.Now()
		for _, it := range items {
			key, ok := s.spec.keyToWire(it.key)
			if !ok {
				s.runner.queue.done(it, result{})
				continue
			}
			observe(s.runner.opts.Metrics.waited, s.runner.opts.Name, now.Sub(it.since))
			work.Items = append(work.Items, &pluginv1.WorkItem{
				Id:       s.flights.add(it, now),
				Key:      key,
				Attempt:  uint32(it.attempt),
				Failures: it.failures,
			})
		}
		if len(work.Items) == 0 {
			continue
		}
		if err := s.sendMessage(conn, &pluginv1.Observation{Observation: &pluginv1.Observation_Work{Work: work}}); err != nil {
			return err
		}
	}
}
