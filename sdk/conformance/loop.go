package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/controller/stream"
)

// decisionTimeout bounds one decision, as the core does.
const decisionTimeout = 30 * time.Second

// loopChecks are those of the Loop contract, which controllers and schedulers
// share.
func loopChecks() []Check {
	return []Check{
		{
			ID:       "loop.describe",
			Sentence: "The description holds the loop: a key kind, watches of known triggers, and encodings that exist.",
			Run:      checkLoopSpec,
		},
		{
			ID:       "loop.answer.gone",
			Sentence: "Work for a key whose object is gone is answered with exactly one decision, for that item and that key, which refers to no later revision than was sent.",
			Run:      checkGoneKey,
		},
		{
			ID:       "loop.answer.each",
			Sentence: "Every item of a full window is answered exactly once, in any order.",
			Run:      checkWindow,
		},
		{
			ID:       "loop.quiet",
			Sentence: "No decision is sent that answers nothing, other than to enqueue keys.",
			Run:      checkQuiet,
		},
		{
			ID:       "loop.changes.unknown",
			Sentence: "The deletion of an object that was never seen, which happens when changes were put together, is borne.",
			Run:      checkUnknownDeletion,
		},
		{
			ID:       "loop.outcomes",
			Sentence: "Outcomes, refusals among them, are taken in without an answer.",
			Run:      checkOutcomes,
		},
		{
			ID:       "loop.drain",
			Sentence: "When it is drained, a loop answers what is in flight and then ends the stream in good order.",
			Run:      checkDrain,
		},
		{
			ID:       "loop.streams",
			Sentence: "A second stream beside the first has a view of its own, and ends without touching the other.",
			Run:      checkTwoStreams,
		},
		{
			ID:       "loop.crash",
			Sentence: "A process that was killed leaves nothing behind that keeps the next one from working.",
			Run:      checkLoopCrash,
		},
	}
}

// loopStream is the core's end of one stream.
type loopStream struct {
	session stream.Session
	spec    *pluginv1.LoopSpec
	cancel  context.CancelFunc
	work    uint64
	sent    uint64
	// enqueued are keys that the loop asked for meanwhile.
	enqueued []*pluginv1.Key
}

// openLoop opens a stream and sends Start.
func openLoop(ctx context.Context, t *Target, encoding pluginv1.Encoding) (*loopStream, error) {
	conn, err := t.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return openLoopOver(ctx, conn, t.Description().GetLoop(), encoding)
}

// openLoopOver is openLoop for a process of the check's own.
func openLoopOver(ctx context.Context, conn grpc.ClientConnInterface, spec *pluginv1.LoopSpec, encoding pluginv1.Encoding) (*loopStream, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*decisionTimeout)
	session, err := stream.NewClient(conn).Open(ctx)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("open the stream: %w", err)
	}
	s := &loopStream{session: session, spec: spec, cancel: cancel}
	return s, s.send(&pluginv1.Observation{Observation: &pluginv1.Observation_Start{Start: &pluginv1.Start{Encoding: encoding}}})
}

func (s *loopStream) close() { s.cancel() }

func (s *loopStream) send(o *pluginv1.Observation) error {
	if err := s.session.Send(o); err != nil {
		return fmt.Errorf("send %T: %w", o.GetObservation(), err)
	}
	return nil
}

// changes sends changes up to a revision; the snapshot is complete with them.
func (s *loopStream) changes(revision uint64, changes ...*pluginv1.Change) error {
	s.sent = revision
	return s.send(&pluginv1.Observation{Observation: &pluginv1.Observation_Changes{Changes: &pluginv1.Changes{
		Changes: changes, Revision: revision, Synced: true,
	}}})
}

// ask sends work for keys and returns the ids.
func (s *loopStream) ask(items ...*pluginv1.WorkItem) ([]uint64, error) {
	var ids []uint64
	for _, item := range items {
		s.work++
		item.Id = s.work
		ids = append(ids, s.work)
	}
	return ids, s.send(&pluginv1.Observation{Observation: &pluginv1.Observation_Work{Work: &pluginv1.Work{Items: items}}})
}

// decision waits for the next decision that answers work.
func (s *loopStream) decision() (*pluginv1.Decision, error) {
	for {
		d, err := s.recv(decisionTimeout)
		if err != nil {
			return nil, err
		}
		s.enqueued = append(s.enqueued, d.GetEnqueue()...)
		if d.GetWorkId() != 0 {
			return d, nil
		}
		if len(d.GetEnqueue()) == 0 {
			return nil, errors.New("a decision came that answers no work and enqueues nothing")
		}
	}
}

var errSilent = errors.New("nothing came")

func (s *loopStream) recv(wait time.Duration) (*pluginv1.Decision, error) {
	type received struct {
		decision *pluginv1.Decision
		err      error
	}
	got := make(chan received, 1)
	go func() {
		d, err := s.session.Recv()
		got <- received{d, err}
	}()
	select {
	case r := <-got:
		return r.decision, r.err
	case <-time.After(wait):
		// The stream is of no further use: the goroutine ends with it.
		s.cancel()
		return nil, fmt.Errorf("%w within %s", errSilent, wait)
	}
}

// decide asks about one key.
func (s *loopStream) decide(key *pluginv1.Key, attempt uint32, failures ...*pluginv1.ActionResult) (*pluginv1.Decision, error) {
	ids, err := s.ask(&pluginv1.WorkItem{Key: key, Attempt: attempt, Failures: failures})
	if err != nil {
		return nil, err
	}
	d, err := s.decision()
	if err != nil {
		return nil, fmt.Errorf("decision about %s: %w", keyText(key), err)
	}
	return d, s.checkAnswer(d, ids[0], key)
}

func (s *loopStream) checkAnswer(d *pluginv1.Decision, id uint64, key *pluginv1.Key) error {
	switch {
	case d.GetWorkId() != id:
		return fmt.Errorf("item %d was asked, but item %d was answered", id, d.GetWorkId())
	case d.GetKey() != nil && !proto.Equal(d.GetKey(), key):
		return fmt.Errorf("item %d is about %s, but the answer is about %s", id, keyText(key), keyText(d.GetKey()))
	case d.GetObservedRevision() > s.sent:
		return fmt.Errorf("decided on revision %d, but only %d was sent", d.GetObservedRevision(), s.sent)
	}
	return nil
}

func keyText(k *pluginv1.Key) string {
	return fmt.Sprintf("%s/%s (kind %d)", k.GetNamespace(), k.GetName(), k.GetKind())
}

// goneKey is a key that no object has.
func (s *loopStream) goneKey(n int) *pluginv1.Key {
	return &pluginv1.Key{Namespace: "conformance", Name: fmt.Sprintf("gone-%d", n)}
}

// onEmpty runs f on a stream that showed an empty cluster.
func onEmpty(ctx context.Context, t *Target, f func(*loopStream) error) error {
	s, err := openLoop(ctx, t, pluginv1.Encoding_ENCODING_JSON)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.changes(1); err != nil {
		return err
	}
	return f(s)
}

func checkLoopSpec(_ context.Context, t *Target) error {
	loop := t.Description().GetLoop()
	if loop == nil {
		return errors.New("the description has no loop")
	}
	keys := append([]*pluginv1.GroupVersionKind{loop.GetKeyKind()}, loop.GetMoreKeyKinds()...)
	for _, k := range keys {
		if k.GetVersion() == "" || k.GetKind() == "" {
			return fmt.Errorf("key kind %v lacks version or kind", k)
		}
	}
	if len(loop.GetWatches()) == 0 {
		return errors.New("it watches nothing")
	}
	for i, w := range loop.GetWatches() {
		if w.GetKind().GetVersion() == "" || w.GetKind().GetKind() == "" {
			return fmt.Errorf("watch %d: kind %v lacks version or kind", i, w.GetKind())
		}
		if _, known := pluginv1.Trigger_name[int32(w.GetTrigger())]; !known || w.GetTrigger() == pluginv1.Trigger_TRIGGER_UNSPECIFIED {
			return fmt.Errorf("watch %d: trigger %s says nothing", i, w.GetTrigger())
		}
		self := w.GetTrigger() == pluginv1.Trigger_TRIGGER_SELF
		if self && !slices.ContainsFunc(keys, func(k *pluginv1.GroupVersionKind) bool { return proto.Equal(k, w.GetKind()) }) {
			return fmt.Errorf("watch %d: %s triggers itself but is no key kind", i, w.GetKind().GetKind())
		}
	}
	for _, e := range loop.GetEncodings() {
		if _, known := pluginv1.Encoding_name[int32(e)]; !known || e == pluginv1.Encoding_ENCODING_UNSPECIFIED {
			return fmt.Errorf("encoding %s is none", e)
		}
	}
	return nil
}

func checkGoneKey(ctx context.Context, t *Target) error {
	return onEmpty(ctx, t, func(s *loopStream) error {
		_, err := s.decide(s.goneKey(0), 0)
		return err
	})
}

func checkWindow(ctx context.Context, t *Target) error {
	return onEmpty(ctx, t, func(s *loopStream) error {
		var items []*pluginv1.WorkItem
		for i := range max(int(s.spec.GetMaxInFlight()), 1) {
			items = append(items, &pluginv1.WorkItem{Key: s.goneKey(i)})
		}
		ids, err := s.ask(items...)
		if err != nil {
			return err
		}
		left := map[uint64]*pluginv1.Key{}
		for i, id := range ids {
			left[id] = items[i].GetKey()
		}
		for len(left) > 0 {
			d, err := s.decision()
			if err != nil {
				return fmt.Errorf("%d of %d items are not answered: %w", len(left), len(items), err)
			}
			key, asked := left[d.GetWorkId()]
			if !asked {
				return fmt.Errorf("item %d was answered twice or never asked", d.GetWorkId())
			}
			if err := s.checkAnswer(d, d.GetWorkId(), key); err != nil {
				return err
			}
			delete(left, d.GetWorkId())
		}
		return nil
	})
}

// quietTime is how long a loop is listened to that has nothing to say.
const quietTime = 300 * time.Millisecond

func checkQuiet(ctx context.Context, t *Target) error {
	return onEmpty(ctx, t, func(s *loopStream) error {
		if _, err := s.decide(s.goneKey(0), 0); err != nil {
			return err
		}
		d, err := s.recv(quietTime)
		switch {
		case errors.Is(err, errSilent):
			return nil
		case err != nil:
			return err
		case d.GetWorkId() != 0:
			return fmt.Errorf("item %d was answered again", d.GetWorkId())
		case len(d.GetEnqueue()) == 0:
			return errors.New("a decision came that answers no work and enqueues nothing")
		}
		return nil
	})
}

func checkUnknownDeletion(ctx context.Context, t *Target) error {
	return onEmpty(ctx, t, func(s *loopStream) error {
		var changes []*pluginv1.Change
		for i := range s.spec.GetWatches() {
			changes = append(changes, &pluginv1.Change{
				Type: pluginv1.Change_TYPE_DELETED, Watch: uint32(i), Namespace: "conformance", Name: "never-seen", Revision: 2,
			})
		}
		if err := s.changes(2, changes...); err != nil {
			return err
		}
		_, err := s.decide(s.goneKey(0), 0)
		return err
	})
}

func checkOutcomes(ctx context.Context, t *Target) error {
	return onEmpty(ctx, t, func(s *loopStream) error {
		d, err := s.decide(s.goneKey(0), 0)
		if err != nil {
			return err
		}
		refused := &pluginv1.ActionResult{Code: 409, Reason: "Conflict", Message: "the object has been modified"}
		outcomes := []*pluginv1.Outcome{
			{WorkId: d.GetWorkId(), Key: s.goneKey(0), Results: []*pluginv1.ActionResult{refused}},
			{WorkId: 12345, Refused: "work item 12345 is not in flight on this stream"},
		}
		if err := s.send(&pluginv1.Observation{Observation: &pluginv1.Observation_Outcomes{Outcomes: &pluginv1.Outcomes{Outcomes: outcomes}}}); err != nil {
			return err
		}
		_, err = s.decide(s.goneKey(0), 1, refused)
		return err
	})
}

func checkDrain(ctx context.Context, t *Target) error {
	return onEmpty(ctx, t, func(s *loopStream) error {
		if _, err := s.ask(&pluginv1.WorkItem{Key: s.goneKey(0)}); err != nil {
			return err
		}
		if err := s.send(&pluginv1.Observation{Observation: &pluginv1.Observation_Drain{Drain: &pluginv1.Drain{}}}); err != nil {
			return err
		}
		if _, err := s.decision(); err != nil {
			return fmt.Errorf("the item in flight was not answered: %w", err)
		}
		for {
			switch _, err := s.recv(decisionTimeout); {
			case errors.Is(err, io.EOF):
				return nil
			case err != nil:
				return fmt.Errorf("the stream did not end in good order: %w", err)
			}
		}
	})
}

func checkTwoStreams(ctx context.Context, t *Target) error {
	return onEmpty(ctx, t, func(first *loopStream) error {
		err := onEmpty(ctx, t, func(second *loopStream) error {
			if err := second.changes(1000); err != nil {
				return err
			}
			_, err := second.decide(second.goneKey(0), 0)
			return err
		})
		if err != nil {
			return fmt.Errorf("second stream: %w", err)
		}
		// Its view is at revision 1: what the second saw is not the first's.
		_, err = first.decide(first.goneKey(0), 0)
		return err
	})
}

func checkLoopCrash(ctx context.Context, t *Target) error {
	if err := t.Crash(ctx); err != nil {
		return err
	}
	return checkGoneKey(ctx, t)
}
