package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

// Handler is a loop's side of one stream. Its methods are called one after the
// other, in the order of the stream; the next message waits until a method
// returns. An error ends the stream.
type Handler interface {
	// Start comes first.
	Start(*pluginv1.Start) error
	// Changes bring the view up to date.
	Changes(*pluginv1.Changes) error
	// Work hands over items, each of which is to be answered with one decision,
	// from any goroutine, now or later. The context is the stream's.
	Work(ctx context.Context, items []*pluginv1.WorkItem) error
	// Outcomes tell what became of decisions.
	Outcomes([]*pluginv1.Outcome) error
	// Drain returns once every item is answered. No method is called after it.
	Drain(ctx context.Context) error
}

// Sender sends decisions. It is safe for concurrent use.
type Sender interface {
	Send(*pluginv1.Decision) error
}

// Serve drives a new handler over one stream until it ends.
func Serve(s ServerStream, newHandler func(Sender) Handler) error {
	h := newHandler(&sender{stream: s})
	ctx := s.Context()
	for {
		o, err := s.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		switch o := o.GetObservation().(type) {
		case *pluginv1.Observation_Start:
			err = h.Start(o.Start)
		case *pluginv1.Observation_Changes:
			err = h.Changes(o.Changes)
		case *pluginv1.Observation_Work:
			err = h.Work(ctx, o.Work.GetItems())
		case *pluginv1.Observation_Outcomes:
			err = h.Outcomes(o.Outcomes.GetOutcomes())
		case *pluginv1.Observation_Drain:
			return h.Drain(ctx)
		default:
			err = errs.Unimplemented("the core sent an observation of type %T, which this plugin does not know: build it with a newer SDK", o)
		}
		if err != nil {
			return fmt.Errorf("loop stream: %w", err)
		}
	}
}

type sender struct {
	mu     sync.Mutex
	stream ServerStream
}

func (s *sender) Send(d *pluginv1.Decision) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream.Send(d)
}
