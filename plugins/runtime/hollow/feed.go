package main

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
)

// feedBuffer is how many events may wait for one caller: large, since whole
// nodes of a simulation are filled at once.
const feedBuffer = 8192

// feed holds who listens to events. It is guarded by hollow.mu.
type feed map[chan *runtime.Event]struct{}

// emit tells of a change that was just made, under h.mu. A caller that is too
// slow is ended.
func (h *hollow) emit(kind pluginv1.EventsResponse_Type, c *runtime.Container) {
	event := &runtime.Event{Type: kind, ContainerId: c.GetId(), SandboxId: c.GetSandboxId(), At: timestamppb.Now()}
	for ch := range h.feed {
		select {
		case ch <- event:
		default:
			delete(h.feed, ch)
			close(ch)
		}
	}
}

func (h *hollow) Events(ctx context.Context, _ *runtime.EventsRequest, send func(*runtime.Event) error) error {
	ch := make(chan *runtime.Event, feedBuffer)
	h.mu.Lock()
	if h.feed == nil {
		h.feed = feed{}
	}
	h.feed[ch] = struct{}{}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.feed, ch)
		h.mu.Unlock()
	}()
	if err := send(&runtime.Event{Type: pluginv1.EventsResponse_TYPE_READY, At: timestamppb.Now()}); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return errs.Canceled("events: %w", ctx.Err())
		case event, ok := <-ch:
			if !ok {
				return errs.ResourceExhausted("events: the caller was too slow: more than %d events waited", feedBuffer).
					WithHint("subscribe again and list")
			}
			if err := send(event); err != nil {
				return err
			}
		}
	}
}
