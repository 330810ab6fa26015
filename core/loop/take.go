package loop

import (
	"context"
	"fmt"

	"github.com/pintle-io/pintle/core/auth"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// maxNonsense is how many decisions that answer nothing a stream may bring
// before it is cut off.
const maxNonsense = 1000

// take deals with one message of the plugin. An error ends the stream.
func (s *session) take(d *pluginv1.Decision) error {
	for _, k := range d.GetEnqueue() {
		key, err := s.spec.keyFromWire(k)
		if err != nil {
			if err := s.refuse(d, "bad_key", fmt.Sprintf("key to enqueue: %v", err)); err != nil {
				return err
			}
			continue
		}
		s.runner.queue.add(key, 0)
	}
	if len(d.GetEnqueue()) > 0 {
		if n := s.runner.queue.len(); n > s.runner.opts.MaxKeys {
			return &floodError{fmt.Sprintf("%d keys are due, %d are possible", n, s.runner.opts.MaxKeys)}
		}
		s.wake()
		if d.GetWorkId() == 0 {
			return nil
		}
	}
	f := s.flights.decide(d.GetWorkId())
	if f == nil {
		return s.refuse(d, "unknown_work", fmt.Sprintf("work item %d is not in flight on this stream", d.GetWorkId()))
	}
	if reason, why := s.check(d, f); reason != "" {
		err := s.refuse(d, reason, why)
		s.flights.land(f.id)
		s.runner.queue.done(f.item, result{failed: true, failures: f.item.failures})
		s.wake()
		return err
	}
	opts := &s.runner.opts
	observe(opts.Metrics.decided, opts.Name, opts.Now().Sub(f.sent))
	s.applying.Go(func() { s.settle(d, f) })
	return nil
}

// check says what is wrong with the answer to a work item that is in flight.
func (s *session) check(d *pluginv1.Decision, f *flight) (reason, why string) {
	if d.GetKey() != nil {
		if key, err := s.spec.keyFromWire(d.GetKey()); err != nil || key != f.item.key {
			return "wrong_key", fmt.Sprintf("work item %d is for %s, not for %s/%s", f.id, f.item.key, d.GetKey().GetNamespace(), d.GetKey().GetName())
		}
	}
	if sent := s.sent.Load(); d.GetObservedRevision() > sent {
		return "future_revision", fmt.Sprintf("decided on revision %d, but only %d was sent", d.GetObservedRevision(), sent)
	}
	if n, most := len(d.GetActions()), s.runner.opts.MaxActions; n > most {
		return "too_many_actions", fmt.Sprintf("%d actions in one decision: %d are possible", n, most)
	}
	return "", ""
}

// refuse counts a decision that is not taken and tells the plugin why.
func (s *session) refuse(d *pluginv1.Decision, reason, why string) error {
	opts := &s.runner.opts
	opts.Metrics.refused.WithLabelValues(opts.Name, reason).Inc()
	s.nonsense++
	if s.nonsense > maxNonsense {
		return &floodError{fmt.Sprintf("%d decisions were refused, the last because %s", s.nonsense, why)}
	}
	if s.nonsense == 1 {
		s.log.Warn("decision refused", "reason", why)
	}
	s.outbox.put(&pluginv1.Outcome{WorkId: d.GetWorkId(), Key: d.GetKey(), Refused: why})
	s.wake()
	return nil
}

// settle applies a decision and ends its flight.
func (s *session) settle(d *pluginv1.Decision, f *flight) {
	opts := &s.runner.opts
	// Not the stream's context: what was begun is finished though the plugin
	// dies.
	ctx, cancel := context.WithTimeout(auth.WithUser(context.Background(), s.user), opts.ApplyTimeout)
	defer cancel()
	decided := opts.Now()
	a := &applier{session: s, key: f.item.key, decision: d}
	a.apply(ctx)
	took := opts.Now().Sub(decided)
	if len(d.GetActions()) > 0 {
		observe(opts.Metrics.applied, opts.Name, took)
	}
	res := result{
		failed:   d.GetError() != nil || len(a.failures) > 0,
		terminal: d.GetError().GetTerminal(),
		failures: a.failures,
		revision: a.revision,
	}
	if after := d.GetRequeueAfter(); after.IsValid() {
		res.requeue = after.AsDuration()
	}
	opts.Metrics.decisions.WithLabelValues(opts.Name, a.result()).Inc()
	s.record(d, f, a, decided, took)
	s.outbox.put(&pluginv1.Outcome{WorkId: f.id, Key: d.GetKey(), Results: a.results})
	s.flights.land(f.id)
	s.runner.queue.done(f.item, res)
	s.wake()
}
